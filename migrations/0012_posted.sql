-- Authorization requests that a page of another site posted: the browser takes them up again with its own cookies.
alter table login_request drop constraint login_request_step_check;
alter table login_request add constraint login_request_step_check check (step in (
    'authorize', 'sign-in', 'second-factor', 'enrol', 'password', 'continue', 'choose', 'consent', 'manage', 'logout'));

-- Sweeping out refresh tokens long before the grants they renewed.
create index refresh_token_by_expiry on refresh_token (expires_at);
