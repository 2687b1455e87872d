-- What a credential is checked with, if that is no secret: 'publicKey', with the keys as a JWK Set. The row of such a
-- credential has an empty hash and an empty tag, which no secret has: for a release that knows only secrets, it opens
-- nothing.
alter table credential add column kind text;
alter table credential add column jwks text;
alter table ended_credential add column kind text;

-- The hashes of client assertions that were exchanged for a token, until nobody would accept them any more.
create table spent_assertion (
    assertion blob primary key not null,
    expires_at integer not null
) strict, without rowid;

create index spent_assertion_expires_at on spent_assertion (expires_at);
