-- Who may ask, who has signed in, and what was granted. Secrets are kept only as SHA-256 digests of 256-bit random
-- values, passwords as argon2id hashes, private keys sealed with the master key.

-- One row per registered client: a SMART app, a point-of-care system or a backend service.
create table client (
    -- The identifier the client sends; for an app also its `appID` in $set-context.
    client_id text primary key,
    -- What people see on the login page.
    name text not null,
    -- What the client is: decides the grants and scopes it can ever have.
    role text not null check (role in ('app', 'poc', 'service')),
    -- The organisation a PoC acts for; 0 for apps and services.
    tenant bigint not null,
    -- How the client proves who it is at the token endpoint.
    auth_method text not null check (auth_method in ('none', 'client_secret_basic', 'private_key_jwt')),
    -- SHA-256 of the secret; only for client_secret_basic.
    secret_digest bytea,
    -- The client's public keys (RFC 7517 set); only for private_key_jwt.
    jwks jsonb,
    -- Where the client publishes its keys instead of giving them here; only for private_key_jwt.
    jwks_uri text,
    -- The exact addresses an authorization may be sent to.
    redirect_uris text[] not null,
    -- Whether redirect_uris may hold patterns such as http://127.0.0.1:* (any port and path). Demonstrations only.
    loopback_redirects boolean not null,
    -- The widest scope the client may be granted, space-separated.
    scope text not null,
    -- Web origins whose browsers may call the token and FHIR endpoints.
    origins text[] not null,
    -- A disabled client gets no token, and its tokens stop working at once.
    enabled boolean not null,
    -- When it was registered.
    created_at timestamptz not null,
    -- When it was last changed.
    updated_at timestamptz not null,
    -- A PoC always acts for an organisation, and nobody else does.
    constraint client_tenant_fits_role check ((role = 'poc') = (tenant > 0)),
    -- The proof that the method demands is on file.
    constraint client_has_its_proof check (case auth_method
        when 'client_secret_basic' then secret_digest is not null
        when 'private_key_jwt' then (jwks is null) <> (jwks_uri is null)
        else true end)
);

-- Answers "may a browser page of this origin call us" on every preflight.
create index client_by_origin on client using gin (origins) where enabled;

-- One row per person who can sign in here.
create table user_account (
    -- The stable `sub` of ID tokens.
    id uuid primary key,
    -- What the person types; compared without regard to case.
    name text not null,
    -- argon2id in PHC string form.
    password_hash text not null,
    -- What is shown to people.
    display_name text not null,
    -- The organisation the person belongs to; 0 for any.
    tenant bigint not null,
    -- The person as a FHIR resource, Type/id, when there is one.
    fhir_user text,
    -- A disabled person cannot sign in, and what was granted for them stops working at once.
    enabled boolean not null,
    -- When the account was made.
    created_at timestamptz not null,
    -- When it was last changed.
    updated_at timestamptz not null
);

-- Names are unique without regard to case; also the lookup at login.
create unique index user_account_by_name on user_account (lower(name));

-- The business identifiers (licence numbers and the like) by which a Practitioner named in a launch is recognised.
create table user_identifier (
    -- Whose identifier this is.
    user_id uuid not null references user_account (id) on delete cascade,
    -- The identifier's namespace, as in FHIR Identifier.system.
    system text not null,
    -- The identifier itself, as in FHIR Identifier.value.
    value text not null,
    -- One person has an identifier once; also the lookup at authorization.
    primary key (user_id, system, value)
);

-- A browser in which somebody has signed in.
create table login_session (
    -- SHA-256 of the session cookie.
    digest bytea primary key,
    -- Who signed in.
    user_id uuid not null references user_account (id) on delete cascade,
    -- When they did (`auth_time`).
    created_at timestamptz not null,
    -- When the browser must ask again.
    expires_at timestamptz not null
);

-- Sweeping out what has expired.
create index login_session_by_expiry on login_session (expires_at);

-- An authorization request that was found good and waits for somebody to sign in.
create table login_request (
    -- SHA-256 of the token in the login form.
    digest bytea primary key,
    -- SHA-256 of the cookie of the browser that was shown the form: no other browser may send it.
    browser_digest bytea not null,
    -- The authorization request, to be judged again when the form comes back.
    parameters jsonb not null,
    -- When the form stops working.
    expires_at timestamptz not null
);

-- Sweeping out what has expired.
create index login_request_by_expiry on login_request (expires_at);

-- Attempts to sign in that have not succeeded, for throttling.
create table login_attempt (
    -- What is counted: 'account' or 'address'.
    kind text not null check (kind in ('account', 'address')),
    -- SHA-256 of the lower-case account name, or of the network address: neither is kept in the clear.
    subject bytea not null,
    -- When it was tried.
    at timestamptz not null
);

-- Counting the recent attempts of one subject.
create index login_attempt_by_subject on login_attempt (kind, subject, at);
-- Sweeping out the old ones.
create index login_attempt_by_time on login_attempt (at);

-- What a client was allowed, by whom and for which launch. Every access token names one of these rows.
create table grant_row (
    -- The `gid` of access tokens.
    id uuid primary key,
    -- Who may use it.
    client_id text not null references client (client_id),
    -- For whom it acts; null for client_credentials.
    user_id uuid references user_account (id),
    -- The launch context it lives and dies with; null outside a launch. No foreign key: the grant outlives the context
    -- for the audit trail.
    context_id uuid,
    -- The scope that was granted, as it is told to the client.
    scope text not null,
    -- SHA-256 of the session cookie that must still be good to refresh (online_access); null otherwise.
    session_digest bytea,
    -- When the user signed in; null for client_credentials.
    auth_time timestamptz,
    -- The OpenID Connect nonce of the authorization request.
    nonce text,
    -- When it was granted.
    created_at timestamptz not null,
    -- After this nothing can be done with it; moved on by each refresh.
    expires_at timestamptz not null,
    -- When it was taken back, if it was.
    revoked_at timestamptz
);

-- $clear-context ends every grant of a context.
create index grant_row_by_context on grant_row (context_id) where context_id is not null;
-- Sweeping out what has expired.
create index grant_row_by_expiry on grant_row (expires_at);
-- Ending what a disabled person or client holds, and showing it.
create index grant_row_by_user on grant_row (user_id) where user_id is not null;

-- A code on its way through the browser, good once.
create table authorization_code (
    -- SHA-256 of the code.
    digest bytea primary key,
    -- What it is exchanged for.
    grant_id uuid not null references grant_row (id) on delete cascade,
    -- The address it was sent to; the exchange must name the same.
    redirect_uri text not null,
    -- PKCE S256 challenge.
    code_challenge text not null,
    -- When it stops working.
    expires_at timestamptz not null,
    -- When it was exchanged; a second time ends the grant.
    used_at timestamptz
);

-- Removing a grant's codes with it.
create index authorization_code_by_grant on authorization_code (grant_id);

-- Refresh tokens, each good once and then replaced by the next.
create table refresh_token (
    -- SHA-256 of the token.
    digest bytea primary key,
    -- What it renews.
    grant_id uuid not null references grant_row (id) on delete cascade,
    -- When it was given out.
    created_at timestamptz not null,
    -- When it stops working.
    expires_at timestamptz not null,
    -- When it was exchanged for the next; a later use ends the grant.
    used_at timestamptz
);

-- Removing a grant's refresh tokens with it.
create index refresh_token_by_grant on refresh_token (grant_id);

-- Assertions of clients that were accepted once: the same `jti` is refused until it would have expired anyway.
create table assertion_seen (
    -- The client that signed it.
    client_id text not null references client (client_id) on delete cascade,
    -- SHA-256 of the assertion's `jti` (which may be of any length).
    jti_digest bytea not null,
    -- When the assertion expires, the allowance for clock differences included.
    expires_at timestamptz not null,
    -- A jti counts per client; the insert that fails here is the replay.
    primary key (client_id, jti_digest)
);

-- Sweeping out what has expired.
create index assertion_seen_by_expiry on assertion_seen (expires_at);

-- The keys this server signs tokens with.
create table signing_key (
    -- The `kid`: the RFC 7638 thumbprint of the public key.
    kid text primary key,
    -- 'next' is published but not used yet, 'active' signs, 'retired' only verifies what it signed.
    state text not null check (state in ('next', 'active', 'retired')),
    -- PKCS#8 DER, sealed for the purpose signing_key.private_key.<kid>.
    private_key bytea not null,
    -- The public key as a JWK, as published.
    public_key jsonb not null,
    -- When it was made.
    created_at timestamptz not null,
    -- When it stopped signing.
    retired_at timestamptz
);

-- One key signs, one waits.
create unique index signing_key_one_of_a_state on signing_key (state) where state <> 'retired';
