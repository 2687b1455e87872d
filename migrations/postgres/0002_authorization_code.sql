-- Authorization codes that were exchanged, each with the token that it was exchanged for: so a batch
-- whose answer was lost knows its own codes from those that somebody else spent.
create table spent_code (
    code_id uuid primary key,
    jti uuid not null,
    expires_at bigint not null
);

create index spent_code_expires_at on spent_code (expires_at);

-- Every user that some agent was ever allowed to act for: no agent is given such an id, since tokens
-- about the one would be taken for tokens of the other.
create table known_user (
    user_id text collate "C" primary key
);

insert into known_user (user_id)
select distinct jsonb_array_elements_text(user_ids::jsonb) from agent;
