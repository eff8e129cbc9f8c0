-- The audiences of instances. members is how many rows of the table members say so; purged is when everybody was removed.
CREATE TABLE audiences (
  id       {serial},
  instance TEXT   NOT NULL,
  audience TEXT   NOT NULL,
  name     TEXT   NOT NULL,
  members  BIGINT NOT NULL,
  purged   BIGINT,
  UNIQUE (instance, audience)
);

-- Who was sent. at is null where nothing has been delivered. All times are microseconds since 1970.
CREATE TABLE members (
  audience  BIGINT   NOT NULL,
  identity  TEXT     {bytes} NOT NULL,
  member    SMALLINT NOT NULL,
  doubt     SMALLINT NOT NULL,
  turns     INTEGER  NOT NULL, -- how many rows of history were ever written
  at        BIGINT,            -- the time of the event that decided
  delivered BIGINT,            -- when the remote took it
  confirmed BIGINT,            -- when an event last said the same again
  PRIMARY KEY (audience, identity)
) {clustered};

-- What happened to identities before, and what was not delivered: the newest few rows of each.
CREATE TABLE history (
  audience BIGINT   NOT NULL,
  identity TEXT     {bytes} NOT NULL,
  slot     SMALLINT NOT NULL,
  decided  BIGINT   NOT NULL,
  at       BIGINT   NOT NULL,
  member   SMALLINT NOT NULL,
  outcome  TEXT     NOT NULL,
  reason   TEXT     NOT NULL,
  PRIMARY KEY (audience, identity, slot)
) {clustered};

-- What handlers remember.
CREATE TABLE state (
  instance TEXT NOT NULL,
  key      TEXT NOT NULL,
  value    TEXT NOT NULL,
  PRIMARY KEY (instance, key)
);
