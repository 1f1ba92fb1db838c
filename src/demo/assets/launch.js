// The launch address of the sample app: `iss` and `launch` are in the query; fhirclient discovers and goes to authorize.
"use strict";

(async () => {
  const { clientId, scope } = await (await fetch("app.json")).json();
  await FHIR.oauth2.authorize({ clientId, scope, redirectUri: "./", pkceMode: "required" });
})().catch((error) => {
  const said = document.getElementById("said");
  said.textContent = `The app could not be started: ${error.message}`;
  said.className = "bad";
});
