-- The OAuth tokens of instances: sealed secrets, and public details about them. The holder can change the row until a time in
-- milliseconds since 1970, by the clock of the database.
CREATE TABLE tokens (
  instance TEXT   NOT NULL PRIMARY KEY,
  sealed   TEXT   NOT NULL,
  about    TEXT   NOT NULL,
  holder   TEXT   NOT NULL,
  until    BIGINT NOT NULL
);
