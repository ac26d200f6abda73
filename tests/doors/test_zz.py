import json
def test_x(bench):
    vm = bench.build(cipassword="Se3ret-pw", disk={"size":"10G"})
    print(bench.sent(polls=True)); print(vm.config); print(bench.cluster.volumes().keys())
    r=bench.template(cipassword="Se3ret-pw", disk={"size":"10G"})
    print(r['changed'], bench.sent())
    r=bench.template(memory=4096, disk={"size":"10G"})
    print(json.dumps(r['diff']), bench.put())
    print(bench.cluster.vms[9000].config['description'])
