-- Which server this is, wherever it is reached. One row, which stays the same through new histories.
CREATE TABLE server (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    server BLOB NOT NULL,
    sum INTEGER NOT NULL
);
