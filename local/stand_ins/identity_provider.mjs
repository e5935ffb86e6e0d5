// The identity provider of the local stack: a complete OpenID provider with people of its own, one a role.
// It asks for no password: whoever opens it chooses who they are. Only 127.0.0.1 can.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const { PORT, CLIENT_ID, CLIENT_SECRET, CONSOLE_URL, PEOPLE } = process.env;
const issuer = `http://127.0.0.1:${PORT}`;
const people = new Map(JSON.parse(PEOPLE).map((person) => [person.sub, person]));
const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      redirect_uris: [`${CONSOLE_URL}/sign-in/callback`],
      post_logout_redirect_uris: [`${CONSOLE_URL}/sign-out/done`],
      backchannel_logout_uri: `${CONSOLE_URL}/sign-out/back-channel`,
      backchannel_logout_session_required: true,
      id_token_signed_response_alg: 'ES256',
      require_auth_time: true,
    },
  ],
  jwks: { keys: [{ ...key, kid: randomBytes(6).toString('hex'), use: 'sig', alg: 'ES256' }] },
  cookies: { keys: [randomBytes(24).toString('hex')] },
  claims: { openid: ['sub'], profile: ['name', 'locale', 'zoneinfo'], email: ['email', 'email_verified'], groups: ['groups'] },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: { enabled: true },
  },
  // Sign-outs are told to the console on this machine, which the provider would otherwise refuse to call.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  interactions: { url: (_, interaction) => `/choose/${interaction.uid}` },
  findAccount: (_, sub) => people.has(sub) && { accountId: sub, claims: () => people.get(sub) },
  // The console is no stranger: what it asks for is granted without asking the person.
  loadExistingGrant: async ({ oidc }) => {
    const grant = new provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope('openid profile email groups');
    await grant.save();
    return grant;
  },
  ttl: { Session: 12 * 3600, Grant: 12 * 3600, Interaction: 600, IdToken: 600, AuthorizationCode: 60, AccessToken: 60 },
});

const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

const page = (uid) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>Who are you?</title>
<meta name="viewport" content="width=device-width"><style>
body{font:16px/1.5 system-ui;max-width:26rem;margin:12vh auto;padding:0 1rem;color-scheme:light dark}
button{font:inherit;display:block;width:100%;text-align:start;padding:.7rem 1rem;margin:.5rem 0;border:1px solid #8886;
border-radius:.5rem;background:none;color:inherit;cursor:pointer}button:hover{background:#8882}small{opacity:.75;display:block}
</style><main><h1>Who are you?</h1><p>The identity provider of this development stack. It asks for no password.</p>
<form method="post" action="/choose/${escape(uid)}">${[...people.values()].map((person) =>
  `<button name="sub" value="${escape(person.sub)}">${escape(person.name)}<small>${escape(person.about)}</small></button>`).join('')}
</form></main></html>`;

const handle = provider.callback();
createServer(async (request, response) => {
  const [, place, uid] = new URL(request.url, issuer).pathname.split('/');
  if (place === 'favicon.ico') return response.writeHead(204).end();
  if (place === 'livez') return response.end('ok');
  if (place !== 'choose') return handle(request, response);
  try {
    await provider.interactionDetails(request, response);
    if (request.method !== 'POST') {
      response.setHeader('Content-Type', 'text/html; charset=utf-8');
      return response.end(page(uid));
    }
    const body = await new Response(request).text();
    const accountId = new URLSearchParams(body).get('sub');
    if (!people.has(accountId)) throw new Error('There is no such person.');
    await provider.interactionFinished(request, response, { login: { accountId } }, { mergeWithLastSubmission: false });
  } catch (error) {
    response.statusCode = 400;
    response.end(`${error.message} Go back to the console and sign in again.`);
  }
}).listen(Number(PORT), '127.0.0.1');
