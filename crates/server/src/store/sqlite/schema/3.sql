-- Single numbers beside the rows: what may have been told, and what time it was.
CREATE TABLE mark (
    kind INTEGER PRIMARY KEY,
    value INTEGER NOT NULL,
    sum INTEGER NOT NULL
);
