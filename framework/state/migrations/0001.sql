-- The audiences of instances. members is the number of current members in the table members; purged is the time of the last purge.
CREATE TABLE audiences (
  id       {serial},
  instance TEXT   NOT NULL,
  audience TEXT   NOT NULL,
  name     TEXT   NOT NULL,
  members  BIGINT NOT NULL,
  purged   BIGINT,
  UNIQUE (instance, audience)
);

-- The state of every identity that was sent. at is null if no change has been delivered. All times are microseconds since 1970.
CREATE TABLE members (
  audience  BIGINT   NOT NULL,
  identity  TEXT     {bytes} NOT NULL,
  member    SMALLINT NOT NULL,
  doubt     SMALLINT NOT NULL,
  turns     INTEGER  NOT NULL, -- number of history rows ever written
  at        BIGINT,            -- time of the event that determined the state
  delivered BIGINT,            -- when the destination accepted the change
  confirmed BIGINT,            -- when a later event last repeated the same state
  PRIMARY KEY (audience, identity)
) {clustered};

-- Earlier deliveries of identities, and changes that were not delivered: the latest few rows of each identity.
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

-- Key-value pairs of handlers.
CREATE TABLE state (
  instance TEXT NOT NULL,
  key      TEXT NOT NULL,
  value    TEXT NOT NULL,
  PRIMARY KEY (instance, key)
);
