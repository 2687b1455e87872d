-- Times are epoch seconds. Lists are JSON text, so that any string survives unchanged in both
-- kinds of store. Migrations only expand within a release: old and new binaries run side by side.

create table org (
    org_id text primary key not null,
    name text not null,
    created_at integer not null
) strict;

insert into org (org_id, name, created_at)
values ('default', 'default', unixepoch());

create table agent (
    agent_id text primary key not null,
    org_id text not null references org,
    name text not null,
    status text not null check (status in ('active', 'suspended', 'decommissioned')),
    scopes text not null,
    audiences text not null,
    redirect_uris text not null,
    user_ids text not null,
    ttl integer,
    plan text not null,
    epoch integer not null,
    version integer not null,
    -- The longest custom lifetime that this agent ever had; 0 without one.
    longest_ttl integer not null,
    killed_at integer,
    killed_version integer,
    created_at integer not null,
    updated_at integer not null
) strict;

create index agent_killed_version on agent (killed_version) where killed_version is not null;

create table credential (
    -- Tells which of an agent's credentials is the newest, whatever the clock said.
    position integer primary key,
    credential_id blob not null unique,
    agent_id text not null references agent,
    hash text not null,
    tag text,
    prefix text not null,
    created_at integer not null,
    expires_at integer
) strict;

create index credential_agent_id on credential (agent_id);
create index credential_imported on credential (agent_id) where tag is null;

create table scope (
    position integer primary key,
    name text not null unique,
    description text not null,
    high_risk integer not null
) strict;

insert into scope (name, description, high_risk) values
    ('agents:read', 'Read agent identity records', false),
    ('agents:write', 'Create, update and decommission agents', false),
    ('tokens:read', 'Introspect tokens', false),
    ('audit:read', 'Query the audit log and verify its chain', false),
    ('webhooks:read', 'List webhook subscriptions and deliveries', false),
    ('webhooks:write', 'Create, update and delete webhook subscriptions', false),
    ('admin:orgs', 'Manage organizations and federation partners', false);

-- Counters that rise with each change of what they name. Whoever raises one holds the write lock
-- until the commit, so that their order is the order of the commits.
create table revision (
    name text primary key not null,
    version integer not null
) strict;

insert into revision (name, version) values ('catalogue', 1), ('revocation', 0);

create table revoked_token (
    jti blob primary key not null,
    agent_id text,
    expires_at integer not null,
    version integer not null
) strict, without rowid;

create index revoked_token_version on revoked_token (version);
create index revoked_token_expires_at on revoked_token (expires_at);

-- No foreign key, as in the other kind of store: counting a token must not touch its agent's row.
create table quota (
    agent_id text not null,
    month integer not null,
    used integer not null,
    -- What the counting statement tells itself: what it granted, up to where it may count, whose
    -- tokens these are in its batch and under which epoch.
    granted integer not null,
    ceiling integer not null,
    slot integer not null,
    epoch integer not null,
    primary key (agent_id, month)
) strict, without rowid;

create table batch (
    batch_id blob primary key not null,
    at integer not null
) strict, without rowid;

create index batch_at on batch (at);

create table signing_key (
    kid text primary key not null,
    public_jwk text not null,
    private_key blob not null,
    state text not null check (state in ('announced', 'signing', 'retiring')),
    announced_at integer not null,
    signs_from integer not null,
    signs_until integer,
    published_until integer
) strict;

-- Two servers that start on an empty store agree on one key.
create unique index signing_key_signing on signing_key (state) where state = 'signing';

create table store_key (
    purpose text not null unique,
    key_id text not null,
    sealed blob not null,
    primary key (purpose, key_id)
) strict;

-- One row a token: every further index would cost more than the rest of the row, so a token's row
-- is found by time, walking along the row ids.
create table audit_event (
    id integer primary key,
    at integer not null,
    kind text not null,
    actor text not null,
    agent_id text,
    jti blob,
    expires_at integer,
    epoch integer,
    detail text not null
) strict;
