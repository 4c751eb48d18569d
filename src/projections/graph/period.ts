/** A valid period `[from, to)`. Backed by an array, because doubles as arguments or fields cost an allocation each. */
export class Period {
  readonly bounds: Float64Array = new Float64Array(2);

  get from(): number {
    return this.bounds[0] as number;
  }

  set from(time: number) {
    this.bounds[0] = time;
  }

  get to(): number {
    return this.bounds[1] as number;
  }

  set to(time: number) {
    this.bounds[1] = time;
  }
}
