// Braze Web Mode in the browser: loads the Braze Web SDK and passes the payloads of actions to it. Landfall's runtime loads this module;
// the payloads have been mapped and checked by the server.

/** The settings that are options of the SDK under the same name. */
const sdkOptions = [
  'allowCrawlerActivity', 'allowUserSuppliedJavascript', 'appVersion', 'contentSecurityNonce', 'disablePushTokenMaintenance',
  'doNotLoadFontAwesome', 'enableLogging', 'enableSdkAuthentication', 'inAppMessageZIndex', 'localization', 'manageServiceWorkerExternally',
  'minimumIntervalBetweenTriggerActionsInSeconds', 'noCookies', 'openCardsInNewTab', 'openInAppMessagesInNewTab',
  'requireExplicitInAppMessageDismissal', 'safariWebsitePushId', 'serviceWorkerLocation', 'sessionTimeoutInSeconds',
];

/** The traits that are not sent as custom attributes: they are fields of updateUserProfile, or the default of one. */
const reservedAttributes = new Set([
  'external_id', 'country', 'current_location', 'custom_attributes', 'dob', 'email', 'email_subscribe', 'first_name', 'last_name', 'gender',
  'home_city', 'image_url', 'language', 'phone', 'push_subscribe', 'subscription_groups', 'sdk_auth_signature', 'firstName', 'lastName',
  'braze_subscription_groups',
]);

/** The words for Braze's letters of genders. */
const genderWords = {
  m: ['man', 'male'], f: ['woman', 'female', 'w'], o: ['other'], u: ['unknown'], n: ['not applicable'], p: ['prefer not to say'],
};

/** The names by which an event's integrations option turns Braze on and off. */
const brazeNames = ['Braze Web Mode (Actions)', 'Braze Cloud Mode (Actions)', 'Appboy'];

const isBlank = (value) => value === undefined || value === null || value === '';

/** Returns the URL of the SDK. */
function sdkURL(settings, legacy) {
  if (settings.sdkUrl) return settings.sdkUrl;
  const file = legacy ? 'appboy.no-amd.min.js' : 'braze.no-module.min.js';
  return `https://js.appboycdn.com/web-sdk/${encodeURIComponent(settings.sdkVersion)}/${file}`;
}

/** Loads the SDK's script and returns the SDK, which is a global variable: appboy up to version 3, and braze since. */
async function loadSDK(settings, tools) {
  const legacy = /^[123]\./.test(settings.sdkVersion);
  const url = sdkURL(settings, legacy);
  const isModule = /\.mjs(\?|$)/.test(url);
  try {
    await tools.script(url, isModule ? { type: 'module' } : {});
  } catch (error) {
    throw new Error(`the Braze SDK cannot be loaded from ${url}: it may be blocked by an extension or by the page's Content-Security-Policy`);
  }
  const sdk = legacy ? window.appboy ?? window.braze : window.braze ?? window.appboy;
  if (typeof sdk?.initialize !== 'function') throw new Error(`${url} is not the Braze SDK: it defines neither braze nor appboy`);
  return sdk;
}

/** Returns the URL of the SDK endpoint. SDKs of version 3 add the path to a host name alone. */
function baseURL(endpoint) {
  return /^https?:\/\/[^/]+\/?$/.test(endpoint) ? `${endpoint.replace(/\/$/, '')}/api/v3` : endpoint;
}

/** Returns the options of the SDK. Settings that are empty are left to the SDK. */
function optionsOf(settings, tools) {
  const options = { baseUrl: baseURL(settings.endpoint) };
  for (const key of sdkOptions) {
    if (!isBlank(settings[key])) options[key] = settings[key];
  }
  options.contentSecurityNonce ??= tools.nonce || undefined;
  if (options.contentSecurityNonce === undefined) delete options.contentSecurityNonce;
  const properties = [settings.devicePropertyAllowlist ?? []].flat().map((name) => String(name).trim()).filter(Boolean);
  if (properties.length > 0) options.devicePropertyAllowlist = properties;
  return options;
}

/** Client is the SDK of one instance. It starts when the first action needs it, or when the user has been identified. */
class Client {
  constructor(sdk, settings, tools) {
    this.sdk = sdk;
    this.settings = settings;
    this.tools = tools;
    this.started = false;
    this.refused = false;
  }

  /** Starts the SDK unless it has to wait for an identified user, and reports whether it runs. */
  ready() {
    if (this.started || this.refused) return this.started;
    if (this.settings.deferUntilIdentified && typeof this.tools.analytics.user().id() !== 'string') return false;
    if (!this.sdk.initialize(this.settings.api_key, optionsOf(this.settings, this.tools))) {
      this.refused = true;
      this.tools.log('warn', 'the Braze SDK has not started: the browser counts as a crawler, the user has opted out, or a setting is wrong; Enable Logging shows which');
      return false;
    }
    this.sdk.addSdkMetadata?.([this.sdk.BrazeSdkMetadata.SEGMENT]);
    if (this.settings.enableSdkAuthentication) this.watchSignatures();
    if (this.settings.automaticallyDisplayMessages) this.displayMessages();
    this.sdk.openSession();
    this.started = true;
    return true;
  }

  /** Logs why Braze refuses signatures, without the signature. */
  watchSignatures() {
    this.sdk.subscribeToSdkAuthenticationFailures?.((failure) => {
      this.tools.log('error', `Braze refuses the user's signature: code ${failure?.errorCode}${failure?.reason ? `, ${failure.reason}` : ''}`);
    });
  }

  displayMessages() {
    if (this.sdk.automaticallyShowInAppMessages) this.sdk.automaticallyShowInAppMessages();
    else this.sdk.display?.automaticallyShowNewInAppMessages();
  }

  /** Makes a user the current one. The signature also replaces an older one of the same user. */
  changeUser(id, signature) {
    if (!this.settings.enableSdkAuthentication || typeof signature !== 'string' || signature.trim() === '') {
      this.sdk.changeUser(id);
      return;
    }
    this.sdk.changeUser(id, signature);
    this.sdk.setSdkAuthenticationSignature?.(signature);
  }

  /** Logs what the SDK has refused. Values are not logged, since they may be personal. */
  check(accepted, what) {
    if (accepted === false) this.tools.log('warn', `the Braze SDK has refused ${what}; Enable Logging shows why`);
  }
}

/** Returns the letter of a gender; other texts are left to the SDK. */
function genderLetter(gender) {
  const word = gender?.trim().toLowerCase();
  return word ? Object.keys(genderWords).find((letter) => letter === word || genderWords[letter].includes(word)) ?? gender : gender;
}

/** Returns year, month and day of a date of birth; undefined if it is no date. The server writes times in UTC, as RFC 3339. */
function dateParts(value) {
  const written = /^(\d{4})-(\d\d)-(\d\d)/.exec(value);
  if (written) return written.slice(1).map(Number);
  const at = new Date(typeof value === 'number' && Math.abs(value) < 1e11 ? value * 1000 : value);
  return Number.isNaN(at.getTime()) ? undefined : [at.getFullYear(), at.getMonth() + 1, at.getDate()];
}

/** Returns a custom attribute as the SDK accepts it: its lists hold texts or objects, so that numbers become texts. */
function attributeValue(value) {
  const isScalar = (item) => ['string', 'number', 'boolean'].includes(typeof item);
  return Array.isArray(value) && value.every(isScalar) ? value.map(String) : value;
}

function setAttributes(client, user, payload) {
  const set = (field, method, convert = (value) => value) => {
    if (payload[field] !== undefined && typeof user[method] === 'function') client.check(user[method](convert(payload[field])), field);
  };
  set('country', 'setCountry');
  set('email_subscribe', 'setEmailNotificationSubscriptionType');
  set('email', 'setEmail');
  set('first_name', 'setFirstName');
  set('gender', 'setGender', genderLetter);
  set('home_city', 'setHomeCity');
  set('image_url', 'setAvatarImageUrl');
  set('language', 'setLanguage');
  set('last_name', 'setLastName');
  set('phone', 'setPhoneNumber');
  set('push_subscribe', 'setPushNotificationSubscriptionType');
  if (payload.dob !== undefined) {
    const parts = payload.dob === null ? [null, null, null] : dateParts(payload.dob);
    client.check(parts !== undefined && user.setDateOfBirth(...parts), 'dob');
  }
}

function setLocation(client, user, location) {
  if (isBlank(location?.latitude) || isBlank(location?.longitude)) return; // the SDK cannot remove a location
  if (!isBlank(location.key)) {
    client.check(user.setCustomLocationAttribute(location.key, location.latitude, location.longitude), 'current_location with a key');
  }
  client.check(user.setLastKnownLocation(location.latitude, location.longitude), 'current_location');
}

function setCustomAttributes(client, user, attributes) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (!reservedAttributes.has(key)) client.check(user.setCustomUserAttribute(key, attributeValue(value)), `the custom attribute ${key}`);
  }
}

function setSubscriptionGroups(client, user, groups) {
  for (const { subscription_group_id: id, subscription_group_state: state } of groups ?? []) {
    if (state === 'subscribed') client.check(user.addToSubscriptionGroup(id), 'a subscription group');
    if (state === 'unsubscribed') client.check(user.removeFromSubscriptionGroup(id), 'a subscription group');
  }
}

function updateUserProfile(client, payload) {
  if (!client.ready()) return;
  if (!isBlank(payload.external_id)) client.changeUser(payload.external_id, payload.sdk_auth_signature);
  const user = client.sdk.getUser();
  if (!user) return;
  setLocation(client, user, payload.current_location);
  setCustomAttributes(client, user, payload.custom_attributes);
  setAttributes(client, user, payload);
  setSubscriptionGroups(client, user, payload.subscription_groups);
}

function trackEvent(client, payload) {
  if (!client.ready()) return;
  client.check(client.sdk.logCustomEvent(payload.eventName, payload.eventProperties), `the event ${payload.eventName}`);
}

function trackPurchase(client, payload) {
  if (!client.ready()) return;
  const { product_id, price, currency, quantity, ...properties } = payload.purchaseProperties ?? {};
  for (const product of payload.products ?? []) {
    const accepted = client.sdk.logPurchase(String(product.product_id), product.price, product.currency ?? 'USD', product.quantity ?? 1, properties);
    client.check(accepted, `the purchase of ${product.product_id}`);
  }
}

/** The user of the latest event that debounce has seen, by page and instance. */
const latestUsers = new WeakMap();

/** Holds an event back that changes neither the user nor a trait. It runs before the event is sent anywhere. */
function debounce(_client, _payload, tools) {
  const user = tools.analytics.user();
  const ofPage = latestUsers.get(tools.analytics) ?? {};
  latestUsers.set(tools.analytics, ofPage);
  const latest = ofPage[tools.instance];
  ofPage[tools.instance] = { id: user.id(), anonymousId: user.anonymousId(), traits: JSON.stringify(user.traits()) };
  const { userId, anonymousId, traits } = tools.event;
  const isChanged = !latest || (userId && userId !== latest.id) || (anonymousId && anonymousId !== latest.anonymousId)
    || JSON.stringify(traits ?? {}) !== latest.traits;
  return isChanged ? undefined : { integrations: Object.fromEntries(brazeNames.map((name) => [name, false])) };
}

export default {
  async load(settings, tools) {
    const client = new Client(await loadSDK(settings, tools), settings, tools);
    client.ready();
    return client;
  },
  actions: { updateUserProfile, trackEvent, trackPurchase, debounce },
};
