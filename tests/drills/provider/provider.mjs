// A certified OpenID provider as an organisation would run it, for `make drills`: one program that signs in by client
// credentials and one person by authorization code, each with JWT access tokens (RFC 9068) for the resource of Remit.
//
//   node provider.mjs PORT KEYS.json
//
// KEYS.json is a JWK set of private keys; the first one signs. It is read again at every start, which is how the drill
// rotates keys.
import { readFileSync } from "node:fs";
import { Provider } from "oidc-provider";

const [port, keys] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const resource = "urn:remit";

const provider = new Provider(issuer, {
  jwks: JSON.parse(readFileSync(keys, "utf8")),
  clients: [
    {
      client_id: "ci-bot",
      client_secret: "a-secret-of-the-drill",
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
    },
    {
      client_id: "desk",
      client_secret: "another-secret-of-the-drill",
      grant_types: ["authorization_code"],
      redirect_uris: ["http://127.0.0.1/callback"],
      response_types: ["code"],
    },
  ],
  cookies: { keys: ["only for the drill"] },
  scopes: ["openid", "remit:operator", "remit:viewer"],
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, email: `${id}@acme.example`, email_verified: true }) }),
  extraTokenClaims: (_, token) => (token.accountId ? { groups: ["00000000-0000-0000-0000-00000000beef"] } : {}),
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: "remit:operator remit:viewer",
        audience: "remit",
        accessTokenFormat: "jwt",
        accessTokenTTL: 600,
        jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
});
provider.listen(Number(port), "127.0.0.1", () => console.log(issuer));
