-- Signing keys that leaked and were revoked, each with the version of the revocation list that its revocation made:
-- whoever verifies tokens by himself must not go on to trust a key that he keeps.
create table revoked_key (
    kid text primary key not null,
    revoked_at integer not null,
    version integer not null
) strict, without rowid;

create index revoked_key_version on revoked_key (version);

-- The services that verify tokens by themselves, and which version of the revocation list each enforces. Without an
-- agent ('') it is a name that nobody has proven. A verifier has enforced some version between "previous" and
-- "version" since "version_at". Times are unix milliseconds, and "every" is how often it reports.
create table verifier (
    agent_id text not null,
    name text not null,
    version integer not null,
    previous integer not null,
    version_at integer not null,
    seen_at integer not null,
    every integer not null,
    primary key (agent_id, name)
) strict, without rowid;
