-- Times are epoch seconds. Lists are JSON text, so that any string survives unchanged in both
-- kinds of store. Migrations only expand within a release: old and new binaries run side by side.

create table org (
    org_id text collate "C" primary key,
    name text not null,
    created_at bigint not null
);

insert into org (org_id, name, created_at)
values ('default', 'default', floor(extract(epoch from now()))::bigint);

create table agent (
    agent_id text collate "C" primary key,
    org_id text collate "C" not null references org,
    name text not null,
    status text not null check (status in ('active', 'suspended', 'decommissioned')),
    scopes text not null,
    audiences text not null,
    redirect_uris text not null,
    user_ids text not null,
    ttl bigint,
    plan text not null,
    epoch bigint not null,
    version bigint not null,
    -- The longest custom lifetime that this agent ever had; 0 without one.
    longest_ttl bigint not null,
    killed_at bigint,
    killed_version bigint,
    created_at bigint not null,
    updated_at bigint not null
);

create index agent_killed_version on agent (killed_version) where killed_version is not null;

create table credential (
    -- Tells which of an agent's credentials is the newest, whatever the clock said.
    position bigint generated always as identity primary key,
    credential_id uuid not null unique,
    agent_id text collate "C" not null references agent,
    hash text not null,
    tag text,
    prefix text not null,
    created_at bigint not null,
    expires_at bigint
);

create index credential_agent_id on credential (agent_id);
create index credential_imported on credential (agent_id) where tag is null;

create table scope (
    position bigint generated always as identity primary key,
    name text collate "C" not null unique,
    description text not null,
    high_risk boolean not null
);

insert into scope (name, description, high_risk) values
    ('agents:read', 'Read agent identity records', false),
    ('agents:write', 'Create, update and decommission agents', false),
    ('tokens:read', 'Introspect tokens', false),
    ('audit:read', 'Query the audit log and verify its chain', false),
    ('webhooks:read', 'List webhook subscriptions and deliveries', false),
    ('webhooks:write', 'Create, update and delete webhook subscriptions', false),
    ('admin:orgs', 'Manage organizations and federation partners', false);

-- Counters that rise with each change of what they name. Whoever raises one holds its row until
-- the commit, so that their order is the order of the commits.
create table revision (
    name text collate "C" primary key,
    version bigint not null
);

insert into revision (name, version) values ('catalogue', 1), ('revocation', 0);

create table revoked_token (
    jti uuid primary key,
    agent_id text collate "C",
    expires_at bigint not null,
    version bigint not null
);

create index revoked_token_version on revoked_token (version);
create index revoked_token_expires_at on revoked_token (expires_at);

-- No foreign key: counting a token must not lock its agent's row. Half of each page stays free, so
-- that a new version of a row finds room beside the old one and no index has to change.
create table quota (
    agent_id text collate "C" not null,
    month bigint not null,
    used bigint not null,
    -- What the counting statement tells itself: what it granted, up to where it may count, whose
    -- tokens these are in its batch and under which epoch.
    granted bigint not null,
    ceiling bigint not null,
    slot bigint not null,
    epoch bigint not null,
    primary key (agent_id, month)
) with (fillfactor = 50);

create table batch (
    batch_id uuid primary key,
    at bigint not null
);

create index batch_at on batch using brin (at) with (pages_per_range = 16, autosummarize = on);

create table signing_key (
    kid text collate "C" primary key,
    public_jwk text not null,
    private_key bytea not null,
    state text not null check (state in ('announced', 'signing', 'retiring')),
    announced_at bigint not null,
    signs_from bigint not null,
    signs_until bigint,
    published_until bigint
);

-- Two servers that start on an empty store agree on one key.
create unique index signing_key_signing on signing_key (state) where state = 'signing';

create table store_key (
    purpose text collate "C" not null unique,
    key_id text collate "C" not null,
    sealed bytea not null,
    primary key (purpose, key_id)
);

-- One row a token: every further index would cost more than the rest of the row, so a token's row
-- is found by time.
create table audit_event (
    id bigint generated always as identity primary key,
    at bigint not null,
    kind text not null,
    actor text not null,
    agent_id text collate "C",
    jti uuid,
    expires_at bigint,
    epoch bigint,
    detail text not null
);

create index audit_event_at on audit_event using brin (at) with (pages_per_range = 32, autosummarize = on);
