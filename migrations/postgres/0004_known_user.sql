-- Every user that some agent was ever allowed to act for: no agent is given such an id, since tokens
-- about the one would be taken for tokens of the other.
create table known_user (
    user_id text collate "C" primary key
);

insert into known_user (user_id)
select distinct jsonb_array_elements_text(user_ids::jsonb) from agent;
