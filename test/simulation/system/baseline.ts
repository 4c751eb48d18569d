/** What a device costs cannot be measured on one that is simulated. */

export function measureBaseline(): never {
  throw new Error("a simulated machine has no yardstick");
}
