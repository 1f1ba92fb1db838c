// Uses the server as an app does, by a client library. What to do is in SOFA_SCENE; a line `{"visit": url}` asks the
// test to send a person there, and the next line read is where they were sent back to. The last line is what came of it.

import { createPrivateKey, webcrypto } from "node:crypto";
import { createInterface } from "node:readline";
import fhirclient from "fhirclient";
import * as oidc from "openid-client";

const scene = JSON.parse(process.env.SOFA_SCENE);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");

async function visit(url) {
  say({ visit: url });
  return (await lines.next()).value;
}

/** What an attempt that must not succeed ended with. */
async function failure(attempt) {
  try {
    return { unexpected: await attempt() };
  } catch (error) {
    return { status: error.status ?? error.statusCode, error: error.error ?? error.message };
  }
}

const privateJwk = () => {
  const { kid, alg } = scene.key;
  return { ...createPrivateKey(scene.key.pem).export({ format: "jwk" }), kid, alg };
};

async function withFhirclient() {
  const kept = new Map();
  const storage = {
    get: async (key) => kept.get(key),
    set: async (key, value) => (kept.set(key, value), value),
    unset: async (key) => kept.delete(key),
  };
  // The library's server side works on a request and a response; these hold all that it looks at.
  const request = (url) => ({ url: url.pathname + url.search, headers: { host: url.host }, socket: {} });
  let redirect;
  const response = { writeHead: (_, headers) => (redirect = headers.location), end() {} };
  const launch = new URL("http://app.test/launch");
  launch.searchParams.set("iss", scene.iss ?? scene.fhir);
  if (scene.launch) launch.searchParams.set("launch", scene.launch);
  await fhirclient(request(launch), response, storage).authorize({
    clientId: scene.client,
    clientSecret: scene.secret,
    clientPrivateJwk: scene.key && privateJwk(),
    clientPublicKeySetUrl: scene.jwksUri,
    redirectUri: scene.redirect,
    scope: scene.scope,
    pkceMode: "required",
  });
  const back = new URL(await visit(redirect));
  const client = await fhirclient(request(back), response, storage).ready();
  const { tokenResponse } = client.state;
  const patient = await client.patient.read();
  const search = await client.request(`Patient?_id=${client.patient.id}`);
  // It sends no assertion when it refreshes.
  const refreshed = scene.key ? await failure(() => client.refresh()) : { scope: (await client.refresh()).tokenResponse.scope };
  return {
    id: client.patient.id,
    read: patient.id,
    found: search.total,
    user: client.user.fhirUser,
    scope: tokenResponse.scope,
    banner: tokenResponse.need_patient_banner,
    refreshed,
    rotated: client.state.tokenResponse.refresh_token !== tokenResponse.refresh_token,
  };
}

const named = { ES384: { name: "ECDSA", namedCurve: "P-384" }, RS384: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-384" } };

async function proof() {
  if (scene.secret) return oidc.ClientSecretBasic(scene.secret);
  if (!scene.key) return oidc.None();
  const { kid, alg, pem } = scene.key;
  const der = createPrivateKey(pem).export({ format: "der", type: "pkcs8" });
  const key = await webcrypto.subtle.importKey("pkcs8", der, named[alg], false, ["sign"]);
  // Its own choice of audience is the issuer; SMART's is the token endpoint.
  const audience = { [oidc.modifyAssertion]: (_, claims) => (claims.aud = `${scene.issuer}/token`) };
  return oidc.PrivateKeyJwt({ key, kid }, scene.issuerAsAudience ? undefined : audience);
}

const insecure = { execute: [oidc.allowInsecureRequests] };

async function withOpenidClient() {
  const config = await oidc.discovery(new URL(scene.issuer), scene.client, undefined, await proof(), insecure);
  const [verifier, state, nonce] = [oidc.randomPKCECodeVerifier(), oidc.randomState(), oidc.randomNonce()];
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: scene.redirect,
    scope: scene.scope,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
    nonce,
    aud: scene.fhir,
    ...(scene.launch && { launch: scene.launch }),
  });
  const back = new URL(await visit(url.href));
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
  const tokens = await oidc.authorizationCodeGrant(config, back, checks);
  const claims = tokens.claims();
  const person = await oidc.fetchUserInfo(config, tokens.access_token, claims.sub);
  const refreshed = await oidc.refreshTokenGrant(config, tokens.refresh_token);
  const alive = await oidc.tokenIntrospection(config, refreshed.access_token);
  await oidc.tokenRevocation(config, refreshed.refresh_token);
  const after = await oidc.tokenIntrospection(config, refreshed.access_token);
  return {
    pkce: config.serverMetadata().supportsPKCE(),
    patient: tokens.patient,
    scope: tokens.scope,
    user: claims.fhirUser,
    same: person.fhirUser === claims.fhirUser && claims.nonce === nonce,
    rotated: refreshed.refresh_token !== tokens.refresh_token,
    again: refreshed.patient,
    active: [alive.active, after.active],
    replayed: await failure(() => oidc.refreshTokenGrant(config, tokens.refresh_token)),
  };
}

async function withoutAPerson() {
  const config = await oidc.discovery(new URL(scene.issuer), scene.client, undefined, await proof(), insecure);
  const ask = () => oidc.clientCredentialsGrant(config, { scope: scene.scope });
  if (scene.issuerAsAudience) return failure(ask);
  const tokens = await ask();
  return { scope: tokens.scope, lasts: tokens.expires_in };
}

async function registering() {
  const metadata = { client_name: "Registered by itself", redirect_uris: [scene.redirect], token_endpoint_auth_method: "client_secret_basic" };
  const config = await oidc.dynamicClientRegistration(new URL(scene.issuer), metadata, undefined, {
    ...insecure,
    initialAccessToken: scene.leave,
  });
  const { client_id, client_secret, scope } = config.clientMetadata();
  Object.assign(scene, { client: client_id, secret: client_secret });
  return { client_id, registered: scope, ...(await withOpenidClient()) };
}

const scenes = { fhirclient: withFhirclient, openid: withOpenidClient, service: withoutAPerson, register: registering };
say({ result: await scenes[scene.as]() });
process.exit(0);
