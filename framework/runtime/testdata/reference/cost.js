// Processes the events of a file with Segment's library, and prints what that took.
//
//	node cost.js FILE BATCHES
//
// FILE has one event in each line, and all lines are one batch, which is processed BATCHES times after half as many that are not measured.
// Requests are answered as Braze answers, within the process.

const fs = require('fs')
const fetch = require('cross-fetch')

let bytes = 0
const stub = async (request) => {
  bytes += (await request.text()).length
  return new fetch.Response('{"message":"success"}', { status: 201, headers: { 'Content-Type': 'application/json' } })
}
const path = require.resolve('cross-fetch')
require.cache[path].exports = Object.assign(stub, fetch, { default: stub, fetch: stub })

const { Destination } = require('@segment/actions-core')
const { default: definition } = require('@segment/action-destinations/dist/destinations/braze-cohorts')

const action = definition.actions.syncAudiences
const mapping = { personas_audience_key: { '@path': '$.properties.audience_key' } }
for (const [name, field] of Object.entries(action.fields)) {
  if (field.default !== undefined) mapping[name] = field.default
}
const settings = {
  endpoint: 'https://rest.iad-01.braze.com',
  client_secret: 'secret-1',
  subscription: { partnerAction: 'syncAudiences', subscribe: action.defaultSubscription, mapping, name: 'all', enabled: true },
}

// Every cohort is known, so no batch creates it: this is also how the Go program is measured.
const stateContext = { getRequestContext: () => 'vip_gold', setResponseContext() {} }

const lines = fs.readFileSync(process.argv[2], 'utf8').trimEnd().split('\n')
const batches = Number(process.argv[3])
const destination = new Destination(definition)

async function processBatch() {
  const results = await destination.onBatch(lines.map((line) => JSON.parse(line)), settings, { stateContext })
  const delivered = results[0].multistatus.filter((result) => result.status >= 200 && result.status < 300).length
  if (delivered !== lines.length) throw new Error(`${delivered} of ${lines.length} events were delivered: ${JSON.stringify(results).slice(0, 500)}`)
}

async function main() {
  for (let i = 0; i < batches / 2; i++) await processBatch()
  const begin = process.hrtime.bigint()
  const used = process.cpuUsage()
  for (let i = 0; i < batches; i++) await processBatch()
  const { user, system } = process.cpuUsage(used)
  if (bytes === 0) throw new Error('no request was sent')
  console.log(JSON.stringify({ elapsed: Number(process.hrtime.bigint() - begin), cpu: (user + system) * 1000 }))
}

main()
