/** A read model in SQLite: rows and position in one transaction. Each event is a row of its own, so that one that came twice shows. */

import Database from "libsql";
import type { RecordedEvent, Sink } from "../../../src/index.js";

export interface SqliteSink {
  readonly sink: Sink<RecordedEvent>;
  readonly database: Database.Database;
}

export function openSqliteSink(file: string): SqliteSink {
  const database = new Database(file);
  database.exec(`
    CREATE TABLE IF NOT EXISTS added (lsn INTEGER, value INTEGER);
    CREATE TABLE IF NOT EXISTS position (lsn INTEGER NOT NULL);
    INSERT INTO position SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM position);
  `);
  const add = database.prepare("INSERT INTO added (lsn, value) VALUES (?, ?)");
  const move = database.prepare("UPDATE position SET lsn = ? WHERE lsn = ?");
  const read = database.prepare("SELECT lsn FROM position");
  const commit = database.transaction((events: readonly RecordedEvent[], position: number, after: number) => {
    for (const { lsn, data } of events) add.run(lsn, (data as { value: number }).value);
    // Another process that feeds the same database has been quicker: nothing of this is to stay.
    if (move.run(position, after).changes !== 1) throw new Error(`the position is not ${after} any more`);
  });
  const sink: Sink<RecordedEvent> = {
    name: "added",
    handles: ["Added"],
    position: () => (read.get() as { lsn: number }).lsn,
    commit: (events, position, after) => {
      commit(events, position, after);
    },
  };
  return { sink, database };
}
