-- Signing keys that leaked and were revoked, each with the version of the revocation list that its revocation made:
-- whoever verifies tokens by himself must not go on to trust a key that he keeps.
create table revoked_key (
    kid text collate "C" primary key,
    revoked_at bigint not null,
    version bigint not null
);

create index revoked_key_version on revoked_key (version);

-- The services that verify tokens by themselves, and which version of the revocation list each enforces. Without an
-- agent ('') it is a name that nobody has proven. A verifier has enforced some version between "previous" and
-- "version" since "version_at". Times are unix milliseconds, and "every" is how often it reports.
create table verifier (
    agent_id text collate "C" not null,
    name text collate "C" not null,
    version bigint not null,
    previous bigint not null,
    version_at bigint not null,
    seen_at bigint not null,
    every bigint not null,
    primary key (agent_id, name)
);

-- Whoever may use "revoked_token" may use these tables in the same way, and whoever may insert there may update
-- "verifier", so that a role that owns no table goes on to serve.
do $$
declare
    allowed record;
begin
    for allowed in
        select acl.privilege_type, coalesce(quote_ident(r.rolname), 'public') as grantee
        from pg_class c
        cross join aclexplode(c.relacl) as acl
        left join pg_roles r on r.oid = acl.grantee
        where c.oid = 'revoked_token'::regclass and acl.privilege_type in ('SELECT', 'INSERT', 'DELETE')
    loop
        execute format('grant %s on revoked_key, verifier to %s', allowed.privilege_type, allowed.grantee);
        if allowed.privilege_type = 'INSERT' then
            execute format('grant update on revoked_key, verifier to %s', allowed.grantee);
        end if;
    end loop;
end
$$;
