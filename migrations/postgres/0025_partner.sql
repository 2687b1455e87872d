-- Platforms whose signed tokens prove who an agent is. Either "jwks_uri" says where the keys are, or "jwks" holds them
-- as a JWK Set, with their thumbprints beside it. "audiences", "required_claims" and "algorithms" are lists; null means
-- the issuer of this server, and every algorithm.
create table partner (
    partner_id uuid primary key,
    org_id text collate "C" not null references org,
    name text not null,
    issuer text collate "C" not null,
    jwks_uri text,
    jwks text,
    thumbprints text,
    audiences text,
    required_claims text not null,
    algorithms text,
    max_age bigint not null,
    preset text,
    status text not null check (status in ('active', 'suspended')),
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    unique (org_id, issuer),
    check ((jwks_uri is null) <> (jwks is null))
);

create index partner_org_id on partner (org_id, partner_id);

-- A credential that a partner's tokens prove: which partner, and in "federation" which subject and claims, with the
-- terms of the issued tokens. Its kind is 'federated', and its hash and tag are empty, as those of public keys are.
alter table credential add column partner_id uuid;
alter table credential add column federation text;
alter table ended_credential add column partner_id uuid;
alter table ended_credential add column federation text;

create index credential_partner_id on credential (partner_id) where partner_id is not null;

-- Whoever may read organizations may read partners, and whoever may make organizations may make, change and delete
-- partners, so that a role that owns no table goes on to serve.
do $$
declare
    allowed record;
begin
    for allowed in
        select acl.privilege_type, coalesce(quote_ident(r.rolname), 'public') as grantee
        from pg_class c
        cross join aclexplode(c.relacl) as acl
        left join pg_roles r on r.oid = acl.grantee
        where c.oid = 'org'::regclass and acl.privilege_type in ('SELECT', 'INSERT')
    loop
        execute format('grant %s on partner to %s', allowed.privilege_type, allowed.grantee);
        if allowed.privilege_type = 'INSERT' then
            execute format('grant update, delete on partner to %s', allowed.grantee);
        end if;
    end loop;
end
$$;
