// Uses the server as an app in a browser does, by npm fhirclient. What to do comes in the address of the page that
// launches and is kept for the page that people come back to; `outcome` is what came of it.

/** A private JWK of the scene's key, which is PKCS #8. */
async function privateJwk({ pem, kid, alg }) {
  const named = { ES384: { name: "ECDSA", namedCurve: "P-384" }, RS384: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-384" } };
  const der = Uint8Array.from(atob(pem.replace(/-----[^-]+-----|\s/g, "")), (one) => one.charCodeAt(0));
  const key = await crypto.subtle.importKey("pkcs8", der, named[alg], true, ["sign"]);
  return { ...(await crypto.subtle.exportKey("jwk", key)), kid, alg };
}

async function launch() {
  const scene = JSON.parse(new URLSearchParams(location.search).get("scene"));
  sessionStorage.setItem("scene", JSON.stringify(scene));
  await FHIR.oauth2.authorize({
    iss: scene.fhir,
    launch: scene.launch,
    clientId: scene.client,
    clientSecret: scene.secret,
    clientPrivateJwk: scene.key && (await privateJwk(scene.key)),
    clientPublicKeySetUrl: scene.jwksUri,
    redirectUri: "back.html",
    scope: scene.scope,
    pkceMode: "required",
  });
}

async function back() {
  const scene = JSON.parse(sessionStorage.getItem("scene"));
  const client = await FHIR.oauth2.ready();
  const before = client.state.tokenResponse;
  const patient = await client.patient.read();
  // It sends no assertion when it refreshes.
  const refreshed = scene.key ? undefined : (await client.refresh()).tokenResponse;
  const after = await client.request(`Patient?_id=${client.patient.id}`);
  return {
    id: client.patient.id,
    read: patient.id,
    found: after.total,
    scope: before.scope,
    rotated: refreshed && refreshed.refresh_token !== before.refresh_token,
    kept: location.href.includes("code="),
  };
}

const told = (text) => (document.body.dataset.outcome = text);
const act = location.pathname.endsWith("launch.html") ? launch : back;
act().then((outcome) => outcome && told(JSON.stringify(outcome)), (error) => told(JSON.stringify({ error: String(error) })));
