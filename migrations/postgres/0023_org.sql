-- Organizations are records with a state of their own. "scopes" is what their agents may be given, as a list; null
-- means every scope. "epoch" is 0 until the tokens of the organization's agents are killed for the first time.
alter table org
    add column status text not null default 'active' check (status in ('active', 'suspended')),
    add column scopes text,
    add column epoch bigint not null default 0,
    add column version bigint not null default 1,
    add column killed_at bigint,
    add column killed_version bigint,
    add column updated_at bigint;

create index org_killed_version on org (killed_version) where killed_version is not null;

-- Nearly all agents may be in the first organization, for which the primary key does.
create index agent_org_id on agent (org_id, agent_id) where org_id <> 'default';

-- The epoch of the agent's organization, which the tokens carry; null in the first organization.
alter table token_terms add column org_epoch bigint;

-- Organizations may be made, because no release that overlooks their suspension serves from this store. An upgraded
-- store gets this row from the command `migrate --finish`.
insert into store_default (name)
select 'organizations'
where not exists (select 1 from signing_key);

-- Whoever may read agents may read organizations, and whoever may make agents may make and change organizations, so
-- that a role that owns no table goes on to serve.
do $$
declare
    allowed record;
begin
    for allowed in
        select acl.privilege_type, coalesce(quote_ident(r.rolname), 'public') as grantee
        from pg_class c
        cross join aclexplode(c.relacl) as acl
        left join pg_roles r on r.oid = acl.grantee
        where c.oid = 'agent'::regclass and acl.privilege_type in ('SELECT', 'INSERT')
    loop
        execute format('grant %s on org to %s', allowed.privilege_type, allowed.grantee);
        if allowed.privilege_type = 'INSERT' then
            execute format('grant update on org to %s', allowed.grantee);
        end if;
    end loop;
end
$$;
