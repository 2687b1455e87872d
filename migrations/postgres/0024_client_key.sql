-- What a credential is checked with, if that is no secret: 'publicKey', with the keys as a JWK Set. The row of such a
-- credential has an empty hash and an empty tag, which no secret has: for a release that knows only secrets, it opens
-- nothing.
alter table credential add column kind text;
alter table credential add column jwks text;
alter table ended_credential add column kind text;

-- The hashes of client assertions that were exchanged for a token, until nobody would accept them any more.
create table spent_assertion (
    assertion bytea primary key,
    expires_at bigint not null
);

create index spent_assertion_expires_at on spent_assertion (expires_at);

-- Whoever may use "spent_code" may use this table in the same way, so that a role that owns no table goes on to serve.
do $$
declare
    allowed record;
begin
    for allowed in
        select acl.privilege_type, coalesce(quote_ident(r.rolname), 'public') as grantee
        from pg_class c
        cross join aclexplode(c.relacl) as acl
        left join pg_roles r on r.oid = acl.grantee
        where c.oid = 'spent_code'::regclass and acl.privilege_type in ('SELECT', 'INSERT', 'DELETE')
    loop
        execute format('grant %s on spent_assertion to %s', allowed.privilege_type, allowed.grantee);
    end loop;
end
$$;
