import Foundation
import Testing

/// What the machine's sensors tell, on a made-up machine.
@Suite struct SensorTests {
  @Test
  func `what sensors tell is in the report, and why others do not, of Pacer and of another engine's worker alike`()
    throws
  {
    try inFolder { folder in
      // An engine that can do what Pacer can, and tells nothing of the machine.
      try write(
        """
        import json, subprocess, sys
        job = json.loads(sys.stdin.readline())
        (job.get("configuration") or {}).pop("engine", None)
        worker = subprocess.Popen(["pacer-worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        worker.stdin.write(json.dumps(job) + "\\n")
        worker.stdin.close()
        for line in map(json.loads, worker.stdout):
            line.pop("interleaves", None)
            if line["kind"] != "metric" or line["name"] in ("peak-resident", "steady-latency"):
                print(json.dumps(line), flush=True)
        sys.exit(worker.wait())
        """, "Suites/peers/odd.py", in: folder)
      let run = try shell(
        """
        mkdir -p tree/sys/class/thermal/thermal_zone0; echo 45500 > tree/sys/class/thermal/thermal_zone0/temp
        export PACER_SYSTEM_ROOT="$PWD/tree"
        bench-suite measure mobilenet-v2 --engine pacer,odd $TINY --output both.jsonl > log || { cat log; exit 1; }
        bench-suite report both.jsonl
        """, in: folder)
      #expect(run.status == 0, "\(run.errors)")
      #expect(run.output.components(separatedBy: "45.5 °C").count == 3, "\(run.output)")
      #expect(run.output.contains("energy: unavailable, no RAPL counter"))
    }
  }
}
