// An independent OpenID provider (npm oidc-provider). It says its issuer, is told of its one client by a line of JSON, and
// serves until its standard input ends. Anybody may sign in with any password; what it knows of them comes from that line.
import http from "node:http";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

const server = http.createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
const say = (message) => console.log(JSON.stringify(message));
say({ issuer });
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { client, people } = JSON.parse((await lines.next()).value);

const provider = new Provider(issuer, {
  clients: [client],
  claims: { openid: ["sub", "licence"], profile: ["name"] },
  cookies: { keys: ["for tests only"] },
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => {
        ctx.body = page(`${form}<button form="op.logoutForm" name="logout" value="yes">Leave</button>`);
      },
    },
  },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  pkce: { required: () => true },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
  // Nobody is asked: the provider's consent is not what is tested.
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({
      clientId: ctx.oidc.client.clientId,
      accountId: ctx.oidc.session.accountId,
    });
    grant.addOIDCScope("openid profile");
    await grant.save();
    return grant;
  },
});

const page = (body) => `<!doctype html><html lang="en"><title>Upstream</title><body>${body}</body></html>`;
const callback = provider.callback();

server.on("request", async (request, response) => {
  if (!request.url.startsWith("/interaction/")) return callback(request, response);
  if (request.method === "POST") {
    let body = "";
    for await (const chunk of request) body += chunk;
    const accountId = new URLSearchParams(body).get("login");
    return provider.interactionFinished(request, response, { login: { accountId, amr: ["pwd"] } });
  }
  response.setHeader("content-type", "text/html; charset=utf-8");
  response.end(page(`<form method="post"><input id="login" name="login"><button>Enter</button></form>`));
});

say({ ready: true });
while (!(await lines.next()).done);
process.exit(0);
