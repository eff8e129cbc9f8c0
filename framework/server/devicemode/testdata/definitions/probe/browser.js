function note(kind, payload) {
  window.probe = window.probe ?? [];
  window.probe.push({ kind, ...payload });
}

export default {
  async load(settings, tools) {
    if (settings.library) await tools.script(settings.library, { 'data-by': 'probe' });
    note('load', { settings, nonce: tools.nonce ?? '' });
    return { settings };
  },
  actions: {
    record(client, payload, tools) { note('record', { ...payload, site: client.settings.site, messageId: tools.event.messageId }); },
    async profile(_client, payload) { note('profile', payload); },
    guard(client, _payload, { event }) {
      if (event.properties.stuck) return new Promise(() => {});
      return { integrations: { Shop: false, Probe: client === undefined && !event.properties.hold } };
    },
  },
};
