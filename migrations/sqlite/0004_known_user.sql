-- Every user that some agent was ever allowed to act for: no agent is given such an id, since tokens
-- about the one would be taken for tokens of the other.
create table known_user (
    user_id text primary key not null
) strict, without rowid;

insert into known_user (user_id)
select distinct u.value from agent, json_each(agent.user_ids) as u;
