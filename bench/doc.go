// Bench measures Fairlead beside other reverse proxies, on loopback, in one run.
//
//	go run ./bench                             the full comparison, under eight minutes; rewrites docs/performance.md and .svg
//	go run ./bench -quick                      the same in under a minute, printed only
//	go run ./bench -only nginx,haproxy -sizes 1KiB
//	go run ./bench -tls                        HTTP/1.1 and HTTP/2 over TLS alone, the last part of the full comparison
//	go run ./bench -idle 4000                  memory of an idle keep-alive connection
//	go run ./bench -routes                     a table of 10,000 routes beside one of 10
//	go run ./bench -accesslog                  the access log written to a file beside none
//
// The contenders are fairlead, nginx, HAProxy, Caddy (each of the three if it is installed) and
// httputil.ReverseProxy, all with one worker, kept-alive connections to the origin and no access log.
//
// How a figure comes about:
//
//   - The proxy has one core to itself. Load and origin have the others; both are epoll loops over raw sockets, so that
//     the proxy is what is measured. The column "core" shows how much of its core the proxy used: well under 100 %
//     means that something else was the limit.
//   - CPU a request is the user and system time of the proxy's whole process tree, divided by the responses received
//     in the same window, in a closed loop: each connection sends its next request when a response has arrived.
//   - p50 and p99 come from a second, open-loop pass at one fixed rate for everybody, half of what the slowest reached.
//     A latency counts from the moment at which the request was due, so a stall is charged to every request that it
//     delayed (no coordinated omission).
//   - Contenders take turns, A B C A B C, in several rounds. Ratios to nginx are taken within a round; medians are
//     printed, with the lowest and the highest round behind a ratio.
//   - Every response's status and length is checked. One wrong response ends the run with an error.
//
// Over TLS the load is h2load (Debian's nghttp2-client); without it, TLS is left out. Everybody has the same certificate,
// made for the run, TLS 1.3 and one cipher. What differs from the above:
//
//   - There is no open loop and no latency, since h2load reports no quantiles.
//   - A window lies within one run of h2load, from a fifth to nine tenths of its requests: after the connections were made,
//     and while all of them are busy. Responses are counted at the origin, at the same moments as CPU time.
//   - h2load counts statuses by their first digit and bytes of body in sum. Both have to be right, and every request has to be
//     answered: the origin knows no status but 200.
//   - For the cost of a handshake, connections are made that carry one request each; no session is resumed.
//
// It needs no privileges, picks free ports, and ends only the processes that it started. It refuses to run anywhere but
// on Linux, since it is made of epoll, CPU affinity and /proc; it is no load generator for other machines, and says
// nothing about a proxy with more than one core.
package main
