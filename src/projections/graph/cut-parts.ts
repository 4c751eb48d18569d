/** What `cut` took away, from the latest to the earliest. Reused: read it before the next `cut`. */
export class CutParts {
  count = 0;
  readonly from: number[] = [];
  readonly to: number[] = [];
  readonly content: number[] = [];

  add(from: number, to: number, content: number): void {
    this.from[this.count] = from;
    this.to[this.count] = to;
    this.content[this.count] = content;
    this.count += 1;
  }
}
