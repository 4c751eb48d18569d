/** What the golden stores hold: the appends that made them, in order. Each inner list is one opening of the store. */

import type { EncryptionOptions, EventInput, StreamAppend } from "../../src/index.js";

/** The key of the golden store that is encrypted, which is no secret. */
export const GOLDEN_ENCRYPTION: EncryptionOptions = { key: () => Buffer.alloc(32, "varve") };

const LONG_TEXT_CHARACTERS = 5000;

export const GOLDEN_APPENDS: readonly (readonly StreamAppend<EventInput>[])[][] = [
  [
    [{ stream: "account-42", events: [{ type: "Opened", data: { owner: "Ada", cents: 0 } }] }],
    [
      { stream: "account-42", events: [{ type: "Withdrawn", data: { cents: 250 }, id: "transfer-1/out" }] },
      {
        stream: "account-7",
        events: [
          { type: "Opened", data: { owner: "Zoë 🪙", cents: -1 }, metadata: { correlationId: "c-1", hops: [1, 2] } },
          { type: "Deposited", data: { cents: 250 }, id: "transfer-1/in" },
        ],
      },
    ],
    [{ stream: "__proto__", events: [{ type: "constructor", data: null }] }],
  ],
  [
    [{ stream: "notes", events: [{ type: "Written", data: "a long text. ".repeat(LONG_TEXT_CHARACTERS / 13) }] }],
    [
      {
        stream: "graph",
        events: [
          {
            type: "varve.v1.NodeCreated",
            data: {
              id: 1,
              label: "Person",
              properties: { name: "Ada", born: 1815 },
              validFrom: -4_894_560_000_000_000,
            },
          },
        ],
      },
    ],
  ],
];
