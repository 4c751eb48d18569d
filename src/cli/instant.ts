/**
 * Instants as people write them.
 *
 * An instant is an integer of µs since 1970, or an ISO 8601 date or date and time with at most six digits of fraction.
 * Without a zone it is UTC: what a command means must not depend on where it is run. The safe range of µs goes from the
 * year 1684 to the year 2255.
 */

const ISO = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,6}))?)?(Z|[+-]\d\d(?::?\d\d)?)?)?$/i;

/** µs since 1970, or null when the text is no instant or lies outside the safe range. */
export function parseInstant(text: string): number | null {
  if (/^[+-]?\d+$/.test(text)) return safe(Number(text));
  const match = ISO.exec(text);
  if (match === null) return null;
  const [, year = "", month = "", day = "", hour = "00", minute = "00", second = "00", fraction = "", zone = "Z"] =
    match;
  const milliseconds = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  // V8 takes 31 April for 1 May.
  if (Number.isNaN(milliseconds) || new Date(milliseconds).getUTCDate() !== Number(day)) return null;
  const offsetMinutes = parseZone(zone);
  if (offsetMinutes === null) return null;
  return safe((milliseconds - offsetMinutes * 60_000) * 1_000 + Number(fraction.padEnd(6, "0")));
}

/** The instant in ISO 8601 and UTC, with six digits of fraction where it is no whole second. */
export function formatInstant(us: number): string {
  const seconds = Math.floor(us / 1_000_000);
  const fraction = us - seconds * 1_000_000;
  const date = new Date(seconds * 1_000).toISOString().slice(0, -".000Z".length);
  return fraction === 0 ? `${date}Z` : `${date}.${String(fraction).padStart(6, "0")}Z`;
}

function parseZone(zone: string): number | null {
  if (zone.toUpperCase() === "Z") return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(3).replace(":", "") || "0");
  if (hours > 23 || minutes > 59) return null;
  return (zone.startsWith("-") ? -1 : 1) * (hours * 60 + minutes);
}

function safe(us: number): number | null {
  return Number.isSafeInteger(us) ? us : null;
}
