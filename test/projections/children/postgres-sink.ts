/** A read model in PostgreSQL: rows and position in one transaction. Each event is a row of its own, so that one that came twice shows. */

import pg from "pg";
import type { RecordedEvent, Sink } from "../../../src/index.js";
import type { PostgresAddress } from "../../support/postgres-server.js";

export interface PostgresSink {
  readonly sink: Sink<RecordedEvent>;
  readonly pool: pg.Pool;
}

export async function openPostgresSink(address: PostgresAddress): Promise<PostgresSink> {
  const pool = new pg.Pool({ ...address, max: 2 });
  // A connection that breaks says so to its next query too, and the one after it is made anew.
  pool.on("connect", (client) => client.on("error", () => {}));
  pool.on("error", () => {});
  await pool.query(`
    CREATE TABLE IF NOT EXISTS added (row bigserial, lsn bigint, value int);
    CREATE TABLE IF NOT EXISTS position (lsn bigint NOT NULL);
    INSERT INTO position SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM position);
  `);
  const sink: Sink<RecordedEvent> = {
    name: "added",
    handles: ["Added"],
    position: async () => {
      const { rows } = await pool.query<{ lsn: string }>("SELECT lsn FROM position");
      return Number(rows[0]?.lsn);
    },
    commit: async (events, position, after) => {
      const client = await pool.connect();
      try {
        await client.query("BEGIN");
        await client.query("INSERT INTO added (lsn, value) SELECT * FROM unnest($1::bigint[], $2::int[])", [
          events.map(({ lsn }) => lsn),
          events.map(({ data }) => (data as { value: number }).value),
        ]);
        const moved = await client.query("UPDATE position SET lsn = $1 WHERE lsn = $2", [position, after]);
        // Another process that feeds the same database has been quicker: nothing of this is to stay.
        if (moved.rowCount !== 1) throw new Error(`the position is not ${after} any more`);
        await client.query("COMMIT");
      } catch (error) {
        // Closing the connection rolls back, whatever state it is in.
        client.release(true);
        throw error;
      }
      client.release();
    },
  };
  return { sink, pool };
}

/** The LSNs of the rows, in the order in which they came. */
export async function addedLsns(pool: pg.Pool): Promise<number[]> {
  const { rows } = await pool.query<{ lsn: string }>("SELECT lsn FROM added ORDER BY row");
  return rows.map(({ lsn }) => Number(lsn));
}
