// The runtime of a destination in the browser: a plugin of analytics.js that posts each event to the server, and calls the actions of the
// module below with the payloads that the server returns. The bundle defines module and libraryName.

/** The limits of what waits for the server. */
const maxWaiting = 500;
const maxStored = 1000000;
const firstDelay = 500;
const longestDelay = 30000;
const requestTime = 15000;
const hookTime = 1000;

/** How often a page renews what it has stored, and after which time without that another page takes it over. */
const renewTime = 20000;
const staleTime = 180000;

/** The time until another tab sees what this one has removed from localStorage: the browser may run them in different processes. */
const settleTime = 100;

/** Returns the localStorage of the page, or undefined if the browser refuses it. */
function openStorage() {
  try {
    const key = '_landfall_test';
    window.localStorage.setItem(key, '1');
    window.localStorage.removeItem(key);
    return window.localStorage;
  } catch {
    return undefined;
  }
}

/** Returns the nonce of the page's Content-Security-Policy. */
function pageNonce() {
  return document.querySelector('script[nonce]')?.nonce || undefined;
}

/** Loads a script. The promise is resolved when it has run. */
function loadScript(url, attributes) {
  return new Promise((resolve, reject) => {
    const script = document.createElement('script');
    for (const [name, value] of Object.entries(attributes ?? {})) script.setAttribute(name, value);
    const nonce = pageNonce();
    if (nonce) script.nonce = nonce;
    script.async = true;
    script.onload = () => resolve(script);
    script.onerror = () => reject(new Error(`the script ${url} cannot be loaded`));
    script.src = url;
    document.head.append(script);
  });
}

/** Refusal is an answer that another attempt would not change. */
class Refusal extends Error {}

/** Posts an event and returns the results of the server. */
async function postEvent(options, event) {
  const aborting = new AbortController();
  const timer = setTimeout(() => aborting.abort(), requestTime);
  try {
    const answer = await fetch(options.mapURL, {
      method: 'POST', credentials: 'omit', headers: { 'Content-Type': 'text/plain' }, signal: aborting.signal,
      body: JSON.stringify({ ...event, writeKey: options.writeKey }),
    });
    if (answer.ok) return (await answer.json()).results;
    const text = await answer.text();
    if (answer.status < 500 && answer.status !== 429 && answer.status !== 408) throw new Refusal(`${answer.status} ${text}`);
    const error = new Error(`${answer.status} ${text}`);
    error.retryAfter = Number(answer.headers.get('Retry-After')) * 1000 || 0;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Returns a promise that is resolved with undefined after a time. */
function after(time) {
  return new Promise((resolve) => { setTimeout(resolve, time); });
}

/** Returns what a promise returns, or undefined if it takes longer than an event may be held up by actions that run before it. */
function inTime(promise) {
  return Promise.race([promise, after(hookTime)]);
}

/** Instance is one instance of the destination on this page. */
class Instance {
  constructor(options, settings) {
    this.options = options;
    this.settings = settings;
    this.storage = openStorage();
    this.storePrefix = `_landfall_${options.writeKey}_${options.instance}`;
    this.storeKey = `${this.storePrefix}/${Math.random().toString(36).slice(2)}`; // of this page, since other tabs have events of their own
    this.waiting = [];
    this.answers = new Map();
    this.delay = 0;
  }

  log(level, text) {
    console[level]?.(`Landfall, ${this.options.instance}: ${text}`);
  }

  tools(event) {
    return {
      script: loadScript, log: (level, text) => this.log(level, text), nonce: pageNonce(), instance: this.options.instance,
      analytics: this.analytics, event,
    };
  }

  /** Starts, and takes over what earlier pages have left. With consent categories, the module waits for an event that has the consent. */
  async load(analytics) {
    this.analytics = analytics;
    if (!this.options.asksConsent) await this.loadModule();
    await this.restore();
    window.addEventListener('online', () => this.wake());
    window.addEventListener('pagehide', () => this.keep(0));
    setInterval(() => this.keep(), renewTime);
    this.isLoaded = true;
    this.run();
  }

  /** Loads the module once. */
  loadModule() {
    this.loading ??= (async () => module.load(this.settings, this.tools()))().then((client) => { this.client = client; }, (error) => {
      this.hasFailed = true;
      this.log('error', `${error?.message ?? error}; events still reach the server`);
      throw error;
    });
    return this.loading;
  }

  /** Takes over what other pages have left. Pages that load at the same time do so one after the other, where the browser has locks. */
  async restore() {
    if (!this.storage) return;
    const take = async () => {
      if (this.takeAll() > 0) await after(settleTime);
    };
    if (navigator.locks) await navigator.locks.request(this.storePrefix, take);
    else this.takeAll();
  }

  /** Takes over the events of pages that have been closed, or have ended without a word, and returns how many there are. */
  takeAll() {
    const found = [];
    for (const key of Object.keys(this.storage)) {
      if (key === this.storePrefix || key.startsWith(`${this.storePrefix}/`)) found.push(...this.takeOver(key));
    }
    found.sort((a, b) => String(a.timestamp).localeCompare(String(b.timestamp)));
    this.waiting = [...found.map((event) => ({ event })), ...this.waiting].slice(-maxWaiting);
    if (found.length > 0) this.keep();
    return found.length;
  }

  /** Returns the events that are stored by a key, and removes them, unless their page is still open. */
  takeOver(key) {
    let kept;
    try {
      kept = JSON.parse(this.storage.getItem(key));
    } catch { /* it is not ours */ }
    if (Math.abs(Date.now() - (kept?.at ?? 0)) < staleTime) return [];
    this.storage.removeItem(key);
    const events = kept?.events ?? kept; // without a time it is a list
    return Array.isArray(events) ? events : [];
  }

  /** Stores what waits, so that another page can go on: at once if the time is 0, because this page closes. */
  keep(at = Date.now()) {
    this.forgetTaken();
    try {
      const text = JSON.stringify({ at, events: this.waiting.map(({ event }) => event) });
      if (this.waiting.length === 0) {
        this.storage?.removeItem(this.storeKey);
        this.keptAt = undefined;
      } else if (text.length <= maxStored && this.storage) {
        this.storage.setItem(this.storeKey, text);
        this.keptAt = at;
      }
    } catch { /* the storage is full: the events wait in memory */ }
  }

  /** Forgets events that another page has taken over while this one was frozen, or closed and reopened by the back button. */
  forgetTaken() {
    if (this.keptAt === undefined || Date.now() - this.keptAt < staleTime || this.storage.getItem(this.storeKey) !== null) return;
    for (const one of this.waiting) one.resolve?.();
    this.waiting = [];
    this.keptAt = undefined;
  }

  /** Adds an event to the queue. The promise is resolved when its actions have run, or when it has to wait. */
  add(event) {
    if (this.hasFailed) return undefined;
    this.forgetTaken();
    return new Promise((resolve) => {
      if (this.waiting.length >= maxWaiting) {
        this.waiting.shift().resolve?.();
        if (!this.isFull) this.log('warn', `more than ${maxWaiting} events wait for the server: the oldest are dropped here`);
        this.isFull = true;
      }
      this.waiting.push({ event, resolve });
      if (navigator.onLine === false || this.delay > 0) {
        this.keep();
        resolve();
      }
      this.run();
    });
  }

  wake() {
    this.delay = 0;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.run();
  }

  /** Sends what waits, one after the other. */
  async run() {
    if (this.isRunning || this.timer || !this.isLoaded) return;
    this.isRunning = true;
    this.forgetTaken();
    while (this.waiting.length > 0 && navigator.onLine !== false) {
      const first = this.waiting[0];
      try {
        const results = await this.map(first.event);
        if (this.waiting[0] === first) this.waiting.shift();
        await this.perform(first.event, results, 'destination');
        this.delay = 0;
        this.isFull = false;
      } catch (error) {
        if (!(error instanceof Refusal)) {
          this.retryLater(error);
          break;
        }
        if (this.waiting[0] === first) this.waiting.shift();
        this.log('error', `the server refused the event ${first.event.messageId}: ${error.message}`);
      }
      first.resolve?.();
      if (this.waiting.length === 0) this.keep();
    }
    this.isRunning = false;
    if (navigator.onLine === false) this.pause();
  }

  /** Lets the events wait that cannot be sent now. */
  pause() {
    for (const one of this.waiting) one.resolve?.();
    this.keep();
  }

  retryLater(error) {
    if (this.delay === 0) this.log('warn', `the server cannot be reached, events wait: ${error.message}`);
    this.delay = Math.min(longestDelay, Math.max(this.delay * 2, firstDelay, error.retryAfter ?? 0));
    this.timer = setTimeout(() => { this.timer = undefined; this.run(); }, this.delay * (0.75 + Math.random() / 2));
    this.pause();
  }

  /** Returns the results for an event, which are asked for once. */
  map(event) {
    const known = this.answers.get(event.messageId);
    this.answers.delete(event.messageId);
    return known ?? postEvent(this.options, event);
  }

  /** Calls the actions of an event whose hook is the given one, in order. */
  async perform(event, results, hook) {
    const changes = [];
    for (const { instance, action, payload, error } of results) {
      if (instance !== this.options.instance || (this.options.hooks[action] ?? 'destination') !== hook) continue;
      if (error) {
        this.log('warn', `${action} does not get the event ${event.messageId}: ${error}`);
        continue;
      }
      if (hook === 'destination' && !(await this.loadModule().then(() => true, () => false))) return changes;
      try {
        changes.push(await module.actions[action](hook === 'destination' ? this.client : undefined, payload, this.tools(event)));
      } catch (failure) {
        this.log('error', `${action} failed: ${failure?.message ?? failure}`);
      }
    }
    return changes;
  }

  /**
   * Calls the actions that run before an event is sent anywhere, and merges what they return into the event. The server is asked at once,
   * but an event goes on only after the one before it, so that events keep their order whatever answer arrives first.
   */
  before(context, hook) {
    this.latestHook = this.runHook(context, hook, this.latestHook);
    return this.latestHook;
  }

  async runHook(context, hook, previous) {
    let results;
    try {
      if (navigator.onLine !== false) results = await this.askInTime(context.event);
    } catch (error) {
      if (!this.hookFailed) this.log('warn', `actions that run before events are left out: ${error.message}`);
      this.hookFailed = true;
    }
    await previous;
    if (results) await this.applyHook(context, hook, results);
    return context;
  }

  async applyHook(context, hook, results) {
    const event = context.event;
    const returned = await inTime(this.perform(event, results, hook));
    if (!returned) return this.log('warn', `the event ${event.messageId} goes on without an action that took longer than ${hookTime} ms`);
    const changes = returned.flatMap((change) => Object.entries(change ?? {}));
    for (const [key, value] of changes) {
      const merged = value && typeof value === 'object' && !Array.isArray(value) ? { ...event[key], ...value } : value;
      context.updateEvent(key, merged);
    }
    if (changes.length === 0) this.remember(event, results);
    else this.answers.delete(event.messageId); // the server has to see the changed event
  }

  /** Returns the results for an event, which the server has a second to give. */
  async askInTime(event) {
    const asked = this.answers.get(event.messageId) ?? postEvent(this.options, event);
    asked.catch(() => {});
    const results = await inTime(asked);
    if (!results) throw new Error(`no answer within ${hookTime} ms`);
    return results;
  }

  /** Keeps the results for the destination, which gets the event next. */
  remember(event, results) {
    if (this.answers.size >= 50) this.answers.delete(this.answers.keys().next().value);
    this.answers.set(event.messageId, Promise.resolve(results));
  }
}

const eventTypes = ['track', 'identify', 'page', 'screen', 'group', 'alias'];

/** Returns a plugin of analytics.js that passes events to a function. */
function newPlugin(name, type, instance, load, handle) {
  const plugin = { name, type, version: '1.0.0', isLoaded: () => type !== 'destination' || instance.isLoaded === true, load };
  for (const eventType of eventTypes) plugin[eventType] = async (context) => { await handle(context); return context; };
  return plugin;
}

// analytics.js adds the entry of the integration, which is about consent and not for the destination.
window[libraryName] = ({ _landfall: options, consentSettings, bundlingStatus, versionSettings, ...settings }) => {
  const instance = new Instance(options, settings);
  const plugins = [newPlugin(options.instance, 'destination', instance, (_context, analytics) => instance.load(analytics), (context) => instance.add(context.event))];
  for (const type of new Set(Object.values(options.hooks))) {
    plugins.push(newPlugin(`${options.instance} ${type}`, type, instance, async (_context, analytics) => { instance.analytics = analytics; },
      (context) => instance.before(context, type)));
  }
  return plugins;
};
window[libraryName].pluginName = libraryName;
