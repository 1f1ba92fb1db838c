// The PoC's chart. What is known comes from /state, what happens from /events (Server-Sent Events).
"use strict";

const byId = (id) => document.getElementById(id);
const time = (milliseconds) => new Date(milliseconds).toLocaleTimeString("en-CA", {
  hour12: false, hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3,
});
const make = (tag, text, className) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
};
const say = (text, className) => {
  byId("said").textContent = text;
  byId("said").className = `said ${className || ""}`;
};

function showChart({ Patient: patient, Encounter: encounter, Practitioner: doctor, Organization: clinic, Location: room }) {
  const name = patient.name[0];
  const address = patient.address[0];
  byId("clinic").textContent = clinic.name;
  byId("patient-name").textContent = `${name.family.toUpperCase()}, ${name.given.join(" ")}`;
  byId("patient-facts").textContent =
    `${patient.gender} · born ${patient.birthDate} · ${patient.telecom[0].value}\n` +
    `${address.line.join(", ")}, ${address.city} ${address.state} ${address.postalCode}`;
  const doctorName = doctor.name[0];
  byId("encounter-facts").textContent =
    `${encounter.reasonCode[0].text} (${encounter.status})\n` +
    `${doctorName.prefix.join(" ")} ${doctorName.given.join(" ")} ${doctorName.family} · ${room.name}`;
}

function showVital(resource, fresh) {
  const value = resource.valueQuantity || {};
  const row = make("tr");
  row.dataset.id = resource.id;
  const number = make("td", undefined, "number");
  number.append(make("strong", value.value), ` ${value.unit || ""}`);
  row.append(make("td", resource.code.text || resource.code.coding[0].display), number);
  const taken = make("td");
  taken.append(make("time", new Date(resource.effectiveDateTime).toLocaleTimeString("en-CA", { hour12: false })));
  row.append(taken, make("td", "app, through the SoFA"));
  if (fresh) row.className = "fresh";
  const old = byId("vitals").querySelector(`[data-id="${CSS.escape(resource.id)}"]`);
  if (old) old.replaceWith(row);
  else byId("vitals").prepend(row);
  byId("vitals-none").hidden = true;
}

function showNotification(seen, fresh) {
  const isEvent = seen.kind === "event-notification";
  const line = make("li");
  if (fresh) line.className = "fresh";
  const words = make("span");
  if (isEvent) {
    for (const resource of seen.resources) {
      const value = resource.valueQuantity;
      words.append(value ? `${resource.code.text} ${value.value} ${value.unit}` : resource.resourceType);
    }
    const verdict = seen.accepted ? " · taken into the chart" : " · refused: it is stored nowhere";
    words.append(make("span", verdict, seen.accepted ? "good" : "bad"));
    for (const resource of seen.resources) {
      const version = resource.meta && resource.meta.versionId;
      words.append(make("div", `${resource.resourceType}/${resource.id}, version ${version}`, "muted small"));
    }
  } else {
    words.append("the SoFA checked that this address takes notifications");
  }
  const tag = isEvent ? `event ${seen.numbers.join(", ")}` : seen.kind;
  line.append(make("time", time(seen.at)), make("span", tag, "tag"), words);
  byId("log").prepend(line);
  byId("bundle").textContent = JSON.stringify(seen.bundle, null, 2);
  if (isEvent && seen.accepted) {
    seen.resources.filter((resource) => resource.resourceType === "Observation")
      .forEach((resource) => showVital(resource, fresh));
  }
}

function showOpen(open) {
  byId("open").textContent = open === 0 ? "no context is set" : open === 1 ? "1 context is set" : `${open} contexts are set`;
  byId("clear").disabled = open === 0;
}

async function load() {
  const state = await (await fetch("state")).json();
  showChart(state.chart);
  byId("user").textContent = state.user.name;
  byId("password").textContent = state.user.password;
  byId("refuse").checked = state.refuse;
  byId("log").replaceChildren();
  byId("vitals").replaceChildren();
  byId("vitals-none").hidden = false;
  state.notifications.forEach((seen) => showNotification(seen, false));
  showOpen(state.open);
}

function listen() {
  const source = new EventSource("events");
  source.onopen = async () => {
    await load();
    byId("link").textContent = "live";
    byId("link").classList.add("live");
  };
  source.onerror = () => {
    byId("link").textContent = "connecting";
    byId("link").classList.remove("live");
  };
  source.onmessage = (message) => {
    const event = JSON.parse(message.data);
    if (event.type === "notification") showNotification(event, true);
    if (event.type === "launches") showOpen(event.open);
    if (event.type === "refuse") byId("refuse").checked = event.on;
  };
}

byId("refuse").addEventListener("change", (change) => {
  fetch("refuse", { method: "POST", body: new URLSearchParams({ on: change.target.checked }) });
});
byId("clear").addEventListener("click", async () => {
  say("Clearing…");
  const answer = await fetch("clear", { method: "POST" });
  if (!answer.ok) return say(await answer.text(), "bad");
  say("Cleared: the app's token is dead and its data is gone from the SoFA. This chart keeps what it took.", "good");
});
listen();
