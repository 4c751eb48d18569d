/** UTF-8 in memory to strings. */

const SHORT_TEXT_BYTES_MAX = 12;

/** UTF-8 to a string. Up to 12 ASCII bytes are joined here, which is faster than crossing into the runtime. */
export function decodeText(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > SHORT_TEXT_BYTES_MAX) return longText(bytes, start, end);
  let text = "";
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at] as number;
    if (byte >= 0x80) return longText(bytes, start, end);
    text += String.fromCharCode(byte);
  }
  return text;
}

function longText(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("utf8");
}
