// Sends one event of each type with Segment's client for Node to the host that is given.
const { Analytics } = require('@segment/analytics-node')

const analytics = new Analytics({ writeKey: 'wk', host: process.argv[2], flushAt: 3 })
analytics.on('error', (err) => { console.error(err); process.exitCode = 1 })
analytics.identify({ userId: 'n1', traits: { plan: 'pro' } })
analytics.track({ userId: 'n1', event: 'Order Completed', properties: { total: 12.5 } })
analytics.page({ anonymousId: 'a1', name: 'Home' })
analytics.screen({ userId: 'n1', name: 'Main' })
analytics.group({ userId: 'n1', groupId: 'g1' })
analytics.alias({ userId: 'n1', previousId: 'a1' })
analytics.closeAndFlush().then(() => console.log('sent'))
