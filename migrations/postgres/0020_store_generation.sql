-- Which generation of the store this is, in one row. A generation begins when an operator acknowledges that a
-- backup was restored.
create table store_generation (
    single integer primary key check (single = 1),
    generation bigint not null,
    -- Since when the store is known to be restored without an acknowledgement.
    restored_at bigint,
    -- Names the cluster, the database and this table. In a copy that another program made, they have other names.
    home text
);

insert into store_generation (single, generation) values (1, 1);

-- Whoever may use "revision" may use these tables in the same way, so that a role that owns no table goes on to serve.
do $$
declare
    allowed record;
begin
    for allowed in
        select acl.privilege_type, coalesce(quote_ident(r.rolname), 'public') as grantee
        from pg_class c
        cross join aclexplode(c.relacl) as acl
        left join pg_roles r on r.oid = acl.grantee
        where c.oid = 'revision'::regclass and acl.privilege_type in ('SELECT', 'UPDATE')
    loop
        execute format('grant %s on store_generation, store_default to %s', allowed.privilege_type, allowed.grantee);
    end loop;
end
$$;
