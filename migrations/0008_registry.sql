-- The registry of clients: where they come from, their secrets, the keys they publish, and who may register one over HTTP.

alter table client
    -- Full addresses at which a point-of-care system may launch the app (SMART App Launch, "Registering"); for people.
    add column launch_urls text[] not null default '{}',
    -- Web origins of a point-of-care system whose pages may show this server's pages in a frame.
    add column frame_ancestors text[] not null default '{}',
    -- The exact addresses a browser may be sent to after signing out.
    add column post_logout_redirect_uris text[] not null default '{}',
    -- Where the client wants to be told that its user signed out.
    add column backchannel_logout_uri text,
    -- How it was registered: by an operator's command, by the configuration file, or over HTTP (RFC 7591).
    add column source text not null default 'cli' check (source in ('cli', 'config', 'dynamic')),
    -- Whether its tokens may ask /introspect about tokens of others: a resource server.
    add column may_introspect boolean not null default false,
    -- It stood in the configuration file and no longer does; it is enabled again when it comes back.
    add column left_out boolean not null default false;

-- The secrets of a client for client_secret_basic. Two of them hold while one takes the place of the other.
create table client_secret (
    -- Whose secret this is.
    client_id text not null references client (client_id) on delete cascade,
    -- SHA-256 of it.
    digest bytea not null,
    -- When it was made.
    created_at timestamptz not null,
    -- When it stops working; null for never.
    expires_at timestamptz,
    -- Also the look-up when a client proves itself.
    primary key (client_id, digest)
);

insert into client_secret (client_id, digest, created_at)
select client_id, secret_digest, created_at from client where auth_method = 'client_secret_basic';

alter table client drop constraint client_has_its_proof;
alter table client drop column secret_digest;
-- A secret is a row of another table, so only keys can be demanded here.
alter table client add constraint client_has_its_proof check (
    case auth_method when 'private_key_jwt' then (jwks is null) <> (jwks_uri is null) else true end
);

-- Key sets fetched from the addresses at which clients publish them, shared by all replicas.
create table client_keys (
    -- The registered address.
    jwks_uri text primary key,
    -- The usable keys (RFC 7517 set) of the last fetch that succeeded; null when none did.
    jwks jsonb,
    -- When they were fetched.
    fetched_at timestamptz,
    -- Until when they may be used.
    fresh_until timestamptz,
    -- When they were last fetched before their time, for a key that was not among them.
    forced_at timestamptz,
    -- When the last fetch failed; null when it succeeded.
    failed_at timestamptz,
    -- Why it failed.
    failure text
);

-- What lets somebody register a client over HTTP (RFC 7591, "initial access token").
create table initial_access_token (
    -- SHA-256 of the token.
    digest bytea primary key,
    -- For the operator: whom it was given to.
    label text not null unique,
    -- What the clients registered with it are.
    role text not null check (role in ('app', 'poc', 'service')),
    -- Their organisation: that of a PoC, 0 for all others.
    tenant bigint not null,
    -- How many clients may still be registered with it.
    uses_left integer not null check (uses_left >= 0),
    -- When it was made.
    created_at timestamptz not null,
    -- When it stops working.
    expires_at timestamptz not null,
    constraint initial_access_token_tenant_fits_role check ((role = 'poc') = (tenant > 0))
);

-- Ending what a disabled client holds, and removing what belongs to a deleted one.
create index grant_row_by_client on grant_row (client_id);
