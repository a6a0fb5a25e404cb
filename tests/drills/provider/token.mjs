// Signs in at the provider of the drill as its program or its person and prints the access token.
//
//   node token.mjs ISSUER program|person
import { createHash, randomBytes } from "node:crypto";

const [issuer, who] = process.argv.slice(2);
const token = async (client, secret, form) => {
  const answer = await fetch(`${issuer}/token`, {
    method: "POST",
    headers: { authorization: "Basic " + Buffer.from(`${client}:${secret}`).toString("base64") },
    body: new URLSearchParams({ resource: "urn:remit", ...form }),
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(JSON.stringify(body));
  return body.access_token;
};

const asProgram = () =>
  token("ci-bot", "a-secret-of-the-drill", { grant_type: "client_credentials", scope: "remit:operator" });

// The browser of the drill: keeps cookies, follows redirects, fills in the two forms of the provider.
const asPerson = async () => {
  const cookies = new Map();
  const verifier = randomBytes(32).toString("base64url");
  const redirect = "http://127.0.0.1/callback";
  let url = `${issuer}/auth?` + new URLSearchParams({
    client_id: "desk", response_type: "code", redirect_uri: redirect, scope: "openid remit:viewer", resource: "urn:remit",
    code_challenge: createHash("sha256").update(verifier).digest("base64url"), code_challenge_method: "S256",
  });
  let form;
  for (let step = 0; step < 20; step++) {
    const answer = await fetch(url, {
      method: form ? "POST" : "GET", body: form, redirect: "manual",
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; ") },
    });
    for (const cookie of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
      cookies.set(name, value);
    }
    form = undefined;
    const next = answer.headers.get("location");
    if (next) {
      url = new URL(next, url).href;
      if (url.startsWith(redirect)) {
        const code = new URL(url).searchParams.get("code");
        if (!code) throw new Error(`signing in failed: ${url}`);
        return token("desk", "another-secret-of-the-drill", {
          grant_type: "authorization_code", code, redirect_uri: redirect, code_verifier: verifier,
        });
      }
      continue;
    }
    const page = await answer.text();
    const action = /action="([^"]+)"/.exec(page)?.[1];
    if (!action) throw new Error(`no form at ${url}: ${answer.status} ${page.slice(0, 300)}`);
    url = new URL(action, url).href;
    form = page.includes('name="login"')
      ? new URLSearchParams({ prompt: "login", login: "ann", password: "any" })
      : new URLSearchParams({ prompt: "consent" });
  }
  throw new Error("signing in never ended");
};

console.log(await (who === "person" ? asPerson() : asProgram()));
