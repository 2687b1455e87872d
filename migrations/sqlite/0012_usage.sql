-- What the events tell about usage, added up by the reader `ledger` in the commit that moves its place. The row
-- of an agent is not touched, since the statement that counts tokens reads it.
--
-- Days are numbers of days since 1970-01-01. They come first in the keys, so that old days are found and removed
-- without another index.
create table usage_day (
    day integer not null,
    agent_id text not null,
    issued integer not null,
    primary key (day, agent_id)
) strict, without rowid;

create table refused_day (
    day integer not null,
    agent_id text not null,
    reason text not null,
    refused integer not null,
    primary key (day, agent_id, reason)
) strict, without rowid;

create table scope_use (
    agent_id text not null,
    scope text not null,
    last_used_at integer not null,
    primary key (agent_id, scope)
) strict, without rowid;

create table credential_use (
    agent_id text not null,
    credential_id blob not null,
    last_used_at integer not null,
    primary key (agent_id, credential_id)
) strict, without rowid;

-- Which warnings were recorded, so that each is recorded once.
create table quota_notice (
    agent_id text not null,
    month integer not null,
    percent integer not null,
    primary key (agent_id, month, percent)
) strict, without rowid;

create table expiry_notice (
    credential_id blob not null,
    days integer not null,
    expires_at integer not null,
    primary key (credential_id, days)
) strict, without rowid;
