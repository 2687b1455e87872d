-- Organizations are records with a state of their own. "scopes" is what their agents may be given, as a list; null
-- means every scope. "epoch" is 0 until the tokens of the organization's agents are killed for the first time.
alter table org add column status text not null default 'active' check (status in ('active', 'suspended'));
alter table org add column scopes text;
alter table org add column epoch integer not null default 0;
alter table org add column version integer not null default 1;
alter table org add column killed_at integer;
alter table org add column killed_version integer;
alter table org add column updated_at integer;

create index org_killed_version on org (killed_version) where killed_version is not null;

-- Nearly all agents may be in the first organization, for which the primary key does.
create index agent_org_id on agent (org_id, agent_id) where org_id <> 'default';

-- The epoch of the agent's organization, which the tokens carry; null in the first organization.
alter table token_terms add column org_epoch integer;

-- Organizations may be made, because no release that overlooks their suspension serves from this store. An upgraded
-- store gets this row from the command `migrate --finish`.
insert into store_default (name)
select 'organizations'
where not exists (select 1 from signing_key);
