-- What operators know a credential by, and who made it. A release without these columns writes rows without them.
alter table credential add column label text;
alter table credential add column created_by text;
-- Who brought the end of the credential forward.
alter table credential add column ends_by text;

create index credential_expires_at on credential (expires_at) where expires_at is not null;

-- Credentials that were ended, without what could verify a secret. They are kept apart, so that client
-- authentication reads no more rows for them.
create table ended_credential (
    credential_id blob primary key not null,
    -- The position that the credential had among those of its agent.
    position integer not null,
    agent_id text not null,
    label text,
    prefix text not null,
    created_at integer not null,
    created_by text,
    ended_at integer not null,
    ended_by text
) strict, without rowid;

create index ended_credential_agent_id on ended_credential (agent_id, position);
create index ended_credential_ended_at on ended_credential (ended_at);
