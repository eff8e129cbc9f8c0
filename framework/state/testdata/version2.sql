-- A ledger as programs before version 3 of the schema leave it: two audiences of the instance main, one of them purged and decided, a
-- value and a token. u3 is in doubt. {serial}, {bytes} and {clustered} are replaced as in migrations.
CREATE TABLE migrations (version INTEGER PRIMARY KEY);
INSERT INTO migrations (version) VALUES (1), (2);
CREATE TABLE audiences (
  id       {serial},
  instance TEXT   NOT NULL,
  audience TEXT   NOT NULL,
  name     TEXT   NOT NULL,
  members  BIGINT NOT NULL,
  purged   BIGINT,
  decided  BIGINT,
  UNIQUE (instance, audience)
);
CREATE TABLE members (
  audience  BIGINT   NOT NULL,
  identity  TEXT     {bytes} NOT NULL,
  member    SMALLINT NOT NULL,
  doubt     SMALLINT NOT NULL,
  turns     INTEGER  NOT NULL,
  at        BIGINT,
  delivered BIGINT,
  confirmed BIGINT,
  PRIMARY KEY (audience, identity)
) {clustered};
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
CREATE TABLE state (
  instance TEXT NOT NULL,
  key      TEXT NOT NULL,
  value    TEXT NOT NULL,
  PRIMARY KEY (instance, key)
);
CREATE TABLE tokens (
  instance TEXT   NOT NULL PRIMARY KEY,
  sealed   TEXT   NOT NULL,
  about    TEXT   NOT NULL,
  holder   TEXT   NOT NULL,
  until    BIGINT NOT NULL
);
INSERT INTO audiences (instance, audience, name, members, purged, decided) VALUES ('main', 'aud_1', 'vip', 2, NULL, NULL);
INSERT INTO audiences (instance, audience, name, members, purged, decided) VALUES ('main', 'aud_2', 'gold', 0, 1767323045000000, 1767323046000000);
INSERT INTO members (audience, identity, member, doubt, turns, at, delivered, confirmed)
  SELECT id, 'u1', 1, 0, 1, 1767323045000000, 1767323050000000, NULL FROM audiences WHERE audience = 'aud_1';
INSERT INTO members (audience, identity, member, doubt, turns, at, delivered, confirmed)
  SELECT id, 'u2', 0, 0, 0, 1767323046000000, 1767323050000000, 1767323051000000 FROM audiences WHERE audience = 'aud_1';
INSERT INTO members (audience, identity, member, doubt, turns, at, delivered, confirmed)
  SELECT id, 'u3', 1, 1, 0, 1767323047000000, 1767323050000000, NULL FROM audiences WHERE audience = 'aud_1';
INSERT INTO history (audience, identity, slot, decided, at, member, outcome, reason)
  SELECT id, 'u1', 0, 1767323049000000, 1767323044000000, 0, 'delivered', '' FROM audiences WHERE audience = 'aud_1';
INSERT INTO state (instance, key, value) VALUES ('main', 'cohort/aud_1', 'vip');
INSERT INTO tokens (instance, sealed, about, holder, until) VALUES ('main', 'sealed', 'about', '', 0);
