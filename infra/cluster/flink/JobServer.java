import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import org.apache.beam.model.pipeline.v1.Endpoints.ApiServiceDescriptor;
import org.apache.beam.model.pipeline.v1.RunnerApi;
import org.apache.beam.runners.flink.FlinkJobInvoker;
import org.apache.beam.runners.flink.FlinkJobServerDriver;
import org.apache.beam.runners.flink.FlinkJobServerDriver.FlinkServerConfiguration;
import org.apache.beam.runners.flink.FlinkPipelineOptions;
import org.apache.beam.runners.flink.FlinkPipelineRunner;
import org.apache.beam.runners.fnexecution.artifact.ArtifactStagingService;
import org.apache.beam.runners.jobsubmission.InMemoryJobService;
import org.apache.beam.runners.jobsubmission.JobInvocation;
import org.apache.beam.runners.jobsubmission.PortablePipelineRunner;
import org.apache.beam.sdk.fn.server.FnService;
import org.apache.beam.sdk.fn.server.GrpcFnServer;
import org.apache.beam.sdk.fn.server.ServerFactory;
import org.apache.beam.sdk.io.FileSystems;
import org.apache.beam.sdk.options.PipelineOptionsFactory;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.BindableService;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.Server;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.netty.NettyServerBuilder;
import org.apache.beam.vendor.guava.v32_1_2_jre.com.google.common.util.concurrent.ListeningExecutorService;

/**
 * Beam's job server for a Flink whose class path has Beam, on loopback.
 *
 * <p>Against Beam's own driver: that one listens on every interface, where whoever reaches the port runs code, and
 * uploads its 150 MB of jars with every job.
 */
public final class JobServer {
  public static void main(String[] arguments) throws Exception {
    FlinkServerConfiguration configuration = FlinkJobServerDriver.parseArgs(arguments);
    FileSystems.setDefaultPipelineOptions(PipelineOptionsFactory.create());
    GrpcFnServer<ArtifactStagingService> staging =
        serve(
            new ArtifactStagingService(
                ArtifactStagingService.beamFilesystemArtifactDestinationProvider(
                    configuration.getArtifactStagingPath())),
            configuration.getArtifactPort());
    InMemoryJobService jobs =
        InMemoryJobService.create(
            staging,
            session -> session,
            token -> staging.getService().removeStagedArtifacts(token),
            new Invoker(configuration));
    serve(jobs, configuration.getPort()).getServer().awaitTermination();
  }

  private static <T extends FnService> GrpcFnServer<T> serve(T service, int port) throws Exception {
    ApiServiceDescriptor address = ApiServiceDescriptor.newBuilder().setUrl("127.0.0.1:" + port).build();
    return GrpcFnServer.create(service, address, new Loopback());
  }

  private static final class Loopback extends ServerFactory {
    @Override
    public Server create(List<BindableService> services, ApiServiceDescriptor address) throws IOException {
      int port = Integer.parseInt(address.getUrl().split(":")[1]);
      NettyServerBuilder builder =
          NettyServerBuilder.forAddress(new InetSocketAddress(InetAddress.getLoopbackAddress(), port))
              .maxInboundMessageSize(Integer.MAX_VALUE);
      services.forEach(builder::addService);
      return builder.build().start();
    }

    @Override
    public Server allocateAddressAndCreate(List<BindableService> services, ApiServiceDescriptor.Builder address) {
      throw new UnsupportedOperationException("the port is given");
    }
  }

  private static final class Invoker extends FlinkJobInvoker {
    Invoker(FlinkServerConfiguration configuration) {
      super(configuration);
    }

    @Override
    protected JobInvocation createJobInvocation(
        String id,
        String token,
        ListeningExecutorService executor,
        RunnerApi.Pipeline pipeline,
        FlinkPipelineOptions options,
        PortablePipelineRunner shipsEverything) {
      PortablePipelineRunner shipsNothing = new FlinkPipelineRunner(options, null, List.of());
      return super.createJobInvocation(id, token, executor, pipeline, options, shipsNothing);
    }
  }
}
