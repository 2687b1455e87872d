-- What the events tell about usage, added up by the reader `ledger` in the commit that moves its place. The row
-- of an agent is not touched, since the statement that counts tokens reads it.
--
-- Days are numbers of days since 1970-01-01. They come first in the keys, so that old days are found and removed
-- without another index.
create table usage_day (
    day bigint not null,
    agent_id text collate "C" not null,
    issued bigint not null,
    primary key (day, agent_id)
);

create table refused_day (
    day bigint not null,
    agent_id text collate "C" not null,
    reason text collate "C" not null,
    refused bigint not null,
    primary key (day, agent_id, reason)
);

create table scope_use (
    agent_id text collate "C" not null,
    scope text collate "C" not null,
    last_used_at bigint not null,
    primary key (agent_id, scope)
);

create table credential_use (
    agent_id text collate "C" not null,
    credential_id uuid not null,
    last_used_at bigint not null,
    primary key (agent_id, credential_id)
);

-- Which warnings were recorded, so that each is recorded once.
create table quota_notice (
    agent_id text collate "C" not null,
    month bigint not null,
    percent bigint not null,
    primary key (agent_id, month, percent)
);

create table expiry_notice (
    credential_id uuid not null,
    days bigint not null,
    expires_at bigint not null,
    primary key (credential_id, days)
);
