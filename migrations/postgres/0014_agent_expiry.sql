-- Which warnings about the end of an agent were recorded, so that each is recorded once. "days" is how many days
-- before the end; 0 tells the end itself.
create table agent_expiry_notice (
    agent_id text collate "C" not null,
    days bigint not null,
    expires_at bigint not null,
    primary key (agent_id, days)
);

create index agent_expires_at on agent (expires_at) where expires_at is not null;
