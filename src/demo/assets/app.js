// The redirect address of the sample app: fhirclient exchanges the code; then the patient is read, and a heart rate written.
"use strict";

const byId = (id) => document.getElementById(id);
const say = (text, className) => {
  byId("said").textContent = text;
  byId("said").className = `said ${className || ""}`;
};

function showContext(client) {
  const told = client.state.tokenResponse;
  const facts = {
    patient: told.patient,
    encounter: told.encounter,
    fhirContext: (told.fhirContext || []).map((item) => item.reference).join(", "),
    fhirUser: client.user.fhirUser,
    intent: told.intent,
    tenant: told.tenant,
    "banner needed": told.need_patient_banner ? "yes" : "no",
    scope: told.scope,
  };
  for (const [name, value] of Object.entries(facts)) {
    const term = document.createElement("dt");
    const detail = document.createElement("dd");
    term.textContent = name;
    detail.textContent = value || "–";
    byId("context").append(term, detail);
  }
}

/** The words of the server's OperationOutcome, which fhirclient appends to its message; else the message. */
function reason(error) {
  const [head, ...rest] = error.message.split("\n\n");
  try {
    const { issue } = JSON.parse(rest.join("\n\n"));
    return issue.map(({ details, diagnostics }) => [details && details.text, diagnostics].filter(Boolean).join(": ")).join("; ");
  } catch {
    return head.replace(/\s+/g, " ");
  }
}

async function write(client) {
  const rate = byId("rate").valueAsNumber;
  say("Waiting for the clinic's system to take it…");
  byId("write").disabled = true;
  const begun = performance.now();
  try {
    const saved = await client.create({
      resourceType: "Observation",
      status: "final",
      category: [{ coding: [{ system: "http://terminology.hl7.org/CodeSystem/observation-category", code: "vital-signs" }] }],
      code: { coding: [{ system: "http://loinc.org", code: "8867-4", display: "Heart rate" }], text: "Heart rate" },
      subject: { reference: `Patient/${client.patient.id}` },
      encounter: { reference: `Encounter/${client.encounter.id}` },
      effectiveDateTime: new Date().toISOString(),
      valueQuantity: { value: rate, unit: "beats/minute", system: "http://unitsofmeasure.org", code: "/min" },
    }, { headers: { Prefer: "return=representation" } });
    const took = Math.round(performance.now() - begun);
    say(`Saved in ${took} ms. The clinic's chart had it before this app heard so.`, "good");
    const line = document.createElement("li");
    for (const text of [new Date().toLocaleTimeString("en-CA", { hour12: false }), `${rate} /min`, `Observation/${saved.id}`]) {
      line.append(Object.assign(document.createElement("span"), { textContent: text }));
    }
    line.lastChild.className = "muted small";
    byId("written").prepend(line);
  } catch (error) {
    say(`Not saved: ${reason(error)}`, "bad");
  } finally {
    byId("write").disabled = false;
  }
}

(async () => {
  const client = await FHIR.oauth2.ready();
  showContext(client);
  const patient = await client.patient.read();
  const name = patient.name[0];
  byId("patient-name").textContent = `${name.family.toUpperCase()}, ${name.given.join(" ")}`;
  byId("patient-facts").textContent = `${patient.gender} · born ${patient.birthDate} · read from the SoFA`;
  byId("write").disabled = false;
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    write(client);
  });
})().catch((error) => say(`The app could not start. ${reason(error)}`, "bad"));
