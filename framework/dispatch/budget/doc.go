// Package budget limits what instances send to a remote: how many requests and bytes in a time, how many requests at once, and none
// while the remote is down.
//
// A Budget is a number of requests and bytes for windows of time, which several instances and several processes can share. A Gate is
// what one instance sends through. It has a Budget, a number of concurrent requests that follows the remote, and a circuit breaker:
//
//	b := budget.New("crm", budget.Limits{Windows: []budget.Window{{Limit: 100, Per: time.Second}}}, budget.NewMemoryStore())
//	g := budget.NewGate("eu", b, budget.GateConfig{})
//	done, err := g.Enter(ctx, budget.Request{Bytes: 512})
//	if err != nil {
//		return err // a *WaitError: nothing was sent, and says when to try again
//	}
//	response, err := client.Do(req)
//	done(budget.Result{Status: response.StatusCode})
//
// # Windows
//
// Time is divided into slots. A process reserves tokens in a Store before it uses them, a block for many requests at a time, and may
// use them in the slot of the reservation only. The reservations of the slots that a window can touch never exceed its limit. So no
// window has more requests than its limit, even if processes reserve at the same time or die: the tokens of a process that has
// died are lost when their slot ends, and no token is counted twice. The clocks of the processes must agree, as with NTP.
//
// A sliding window is any interval of its length. It has up to 60 slots, so that its limit is used up to 90 % or more. An aligned
// window is one slot, such as a clock hour in UTC.
//
// # Order
//
// Live requests go before those of the class Background, which have at most a share of each window. While both wait, one request in
// twenty is of the class Background. Instances take turns.
//
// A Budget, a Gate and a MemoryStore are safe for concurrent use. They start no goroutines.
package budget
