-- Platforms whose signed tokens prove who an agent is. Either "jwks_uri" says where the keys are, or "jwks" holds them
-- as a JWK Set, with their thumbprints beside it. "audiences", "required_claims" and "algorithms" are lists; null means
-- the issuer of this server, and every algorithm.
create table partner (
    partner_id blob primary key not null,
    org_id text not null references org,
    name text not null,
    issuer text not null,
    jwks_uri text,
    jwks text,
    thumbprints text,
    audiences text,
    required_claims text not null,
    algorithms text,
    max_age integer not null,
    preset text,
    status text not null check (status in ('active', 'suspended')),
    version integer not null,
    created_at integer not null,
    updated_at integer not null,
    unique (org_id, issuer),
    check ((jwks_uri is null) <> (jwks is null))
) strict, without rowid;

create index partner_org_id on partner (org_id, partner_id);

-- A credential that a partner's tokens prove: which partner, and in "federation" which subject and claims, with the
-- terms of the issued tokens. Its kind is 'federated', and its hash and tag are empty, as those of public keys are.
alter table credential add column partner_id blob;
alter table credential add column federation text;
alter table ended_credential add column partner_id blob;
alter table ended_credential add column federation text;

create index credential_partner_id on credential (partner_id) where partner_id is not null;
